import subprocess
import time

import example
from example import TestCase


class EventAlarm(TestCase):
    def run_alarms(self, *words):
        return subprocess.run(words, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_alarms_in_virtual_time(self):
        command = example.command("event_alarm.lua", "3:eggs", "86400:post",
                                  "240:tea", "0.5:hello")
        done = self.run_alarms(command[0], "--virtual-time", *command[1:])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "  0.50 s  hello\n"
                                      "  3.00 s  eggs\n"
                                      "240.00 s  tea\n"
                                      "86400.00 s  post\n")

    def test_alarms_are_not_early(self):
        start = time.monotonic()
        done = self.run_alarms(*example.command("event_alarm.lua",
                                                "0.3:b", "0.1:a"))
        self.assertGreaterEqual(time.monotonic() - start, 0.3)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = [line.split() for line in done.stdout.splitlines()]
        self.assertEqual([line[2] for line in lines], ["a", "b"])
        self.assertGreaterEqual(float(lines[0][0]), 0.1)
        self.assertGreaterEqual(float(lines[1][0]), 0.3)

    def test_without_an_alarm_it_tells_the_usage(self):
        self.check_usage("event_alarm.lua")

    def test_what_is_no_alarm(self):
        done = self.run_alarms(*example.command("event_alarm.lua", "tea"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("not SECONDS:TEXT: tea", done.stderr)
