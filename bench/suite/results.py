"""Rounds: how they are stored, which count, and what is made of them."""

import json
import statistics
from dataclasses import dataclass

SATURATED = 0.95  # of a CPU


@dataclass
class Figure:
    """A median, its spread, and from how many rounds it is."""

    median: float
    low: float
    high: float
    rounds: int

    @staticmethod
    def of(values):
        values = [value for value in values if value is not None]
        if not values:
            return None
        return Figure(
            statistics.median(values), min(values), max(values), len(values)
        )


class Results:
    """Rounds by workload. A workload that is measured again begins anew."""

    def __init__(self, path):
        self.path, self.facts, self.rounds = path, {}, []
        if path.exists():
            stored = json.loads(path.read_text())
            self.facts, self.rounds = stored["facts"], stored["rounds"]

    def forget(self, work, peers):
        self.rounds = [
            r for r in self.rounds if r["work"] != work or r["peer"] not in peers
        ]

    def add(self, work, peer, index, values):
        self.rounds.append(
            {"work": work, "peer": peer, "round": index, **values}
        )

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"facts": self.facts, "rounds": self.rounds}, indent=0)
        self.path.write_text(text)

    def works(self):
        return list(dict.fromkeys(r["work"] for r in self.rounds))

    def of(self, work, peer):
        return [
            r for r in self.rounds if r["work"] == work and r["peer"] == peer
        ]

    def kept(self, work, peer):
        return [r for r in self.of(work, peer) if r.get("kept")]

    def figure(self, work, peer, metric):
        return Figure.of(r.get(metric) for r in self.kept(work, peer))

    def figure_of_all(self, work, peer, metric):
        """The same of all rounds, kept or dropped: for CPU times."""
        return Figure.of(r.get(metric) for r in self.of(work, peer))

    def ratio(self, work, peer, reference, metric, every=False):
        """peer to reference, round by round, where both were kept; with
        `every` of all rounds, for CPU times."""
        pick = self.of if every else self.kept
        base = {r["round"]: r.get(metric) for r in pick(work, reference)}
        return Figure.of(
            r[metric] / base[r["round"]]
            for r in pick(work, peer)
            if metric in r and base.get(r["round"])
        )

    def dropped(self):
        """(dropped, all) rounds, failures aside."""
        real = [r for r in self.rounds if "error" not in r]
        return sum(not r["kept"] for r in real), len(real)


def interleave(results, work, peers, rounds, retries, measure, say):
    """Measures one workload, `rounds` times each peer after the other.

    Up to `retries` rounds are added for peers of which one was dropped, always
    with the first peer, the reference."""
    results.forget(work, {peer.name for peer in peers})
    failed = set()
    for index in range(rounds + retries):
        short = [
            peer
            for peer in peers
            if peer.name not in failed
            and len(results.kept(work, peer.name)) < rounds
        ]
        if not short:
            break
        if index >= rounds and peers[0] not in short:
            short.insert(0, peers[0])
        for peer in short:
            values = measure(peer)
            results.add(work, peer.name, index, values)
            if "error" in values:
                failed.add(peer.name)
                say(f"{work}: {peer.name}: {values['error']}")
    results.save()
