// The scheduler's workloads in Node: `node node.js WORKLOAD N [K]`.
//
// Tasks are async functions. Node has no channels; Channel is the usual one,
// out of an array and promises.
'use strict';
const fs = require('fs');

const [name, N, K] = [process.argv[2], +process.argv[3], +process.argv[4]];

const out = (metric, value) => console.log(`${metric} ${value.toPrecision(6)}`);
const now = () => Number(process.hrtime.bigint());
const rss = () => +fs.readFileSync('/proc/self/statm', 'utf8').split(' ')[1] * 4096;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const cpu = () => {
  const usage = process.cpuUsage();
  return (usage.user + usage.system) * 1e3;
};

// Park and Miller's sequence, the same in every language.
let state = 42;
const random = (n) => {
  state = (state * 16807) % 2147483647;
  return state % n;
};

// A queue that does not move its items at each take.
class Queue {
  constructor() {
    this.items = [];
    this.first = 0;
  }

  get length() {
    return this.items.length - this.first;
  }

  put(item) {
    this.items.push(item);
  }

  take() {
    const item = this.items[this.first++];
    if (this.first > 1024 && this.first * 2 > this.items.length) {
      this.items.splice(0, this.first);
      this.first = 0;
    }
    return item;
  }
}

class Channel {
  constructor(capacity) {
    this.capacity = capacity;
    this.values = new Queue();
    this.senders = new Queue();
    this.receivers = new Queue();
  }

  async send(value) {
    if (this.receivers.length > 0) {
      this.receivers.take()(value);
      return;
    }
    this.values.put(value);
    if (this.values.length > this.capacity) {
      await new Promise((resolve) => this.senders.put(resolve));
    }
  }

  async recv() {
    if (this.values.length === 0) {
      return new Promise((resolve) => this.receivers.put(resolve));
    }
    const value = this.values.take();
    if (this.senders.length > 0) this.senders.take()();
    return value;
  }
}

const times = (n, f) => Promise.all(Array.from({ length: n }, f));

const measured = {
  async spawn() {
    let count = 0;
    await times(N, async () => {
      await null;
      count++;
    });
  },

  async groups() {
    let count = 0;
    for (let i = 0; i < N / 100; i++) {
      await times(100, async () => {
        await null;
        count++;
      });
    }
  },

  async pingpong() {
    const [ping, pong] = [new Channel(0), new Channel(0)];
    const other = (async () => {
      for (let i = 0; i < N; i++) await pong.send(await ping.recv());
    })();
    for (let i = 0; i < N; i++) {
      await ping.send(i);
      await pong.recv();
    }
    await other;
  },

  async yield() {
    await times(K, async () => {
      for (let i = 0; i < N / K; i++) await null;
    });
  },

  async channel() {
    const channel = new Channel(128);
    const sender = (async () => {
      for (let i = 0; i < N; i++) await channel.send(i);
    })();
    for (let i = 0; i < N; i++) await channel.recv();
    await sender;
  },

  async producers() {
    const channel = new Channel(128);
    const senders = times(64, async () => {
      for (let i = 0; i < N / 64; i++) await channel.send(i);
    });
    for (let i = 0; i < N; i++) await channel.recv();
    await senders;
  },

  async daisy() {
    const first = new Channel(0);
    let left = first;
    for (let i = 0; i < N; i++) {
      const [to, from] = [left, new Channel(0)];
      (async () => to.send(1 + (await from.recv())))();
      left = from;
    }
    left.send(0);
    if ((await first.recv()) !== N) throw new Error('wrong sum');
  },

  // Promise.race over promises that are made for each select, as is usual.
  async select() {
    const resolvers = new Array(K);
    for (let i = 0; i < N; i++) {
      const promises = new Array(K);
      for (let j = 0; j < K; j++) {
        promises[j] = new Promise((resolve) => { resolvers[j] = resolve; });
      }
      const ready = random(K);
      queueMicrotask(() => resolvers[ready](ready));
      await Promise.race(promises);
    }
  },

  async pool() {
    const [size, running] = [128, new Map()];
    let started = 0;
    const job = async (id, steps) => {
      for (let i = 0; i < steps; i++) await null;
      return id;
    };
    const start = () => {
      running.set(started, job(started, random(16) + 1));
      started++;
    };
    while (started < size) start();
    for (let ended = 1; ended <= N; ended++) {
      running.delete(await Promise.race(running.values()));
      if (started < N) start();
    }
  },

  async timeout() {
    const channel = new Channel(1);
    const f = async () => {
      await channel.send(1);
      return channel.recv();
    };
    for (let i = 0; i < N; i++) {
      let timer;
      const late = new Promise((_, reject) => {
        timer = setTimeout(reject, 10000);
      });
      await Promise.race([f(), late]);
      clearTimeout(timer);
    }
  },
};

const others = {
  async timers() {
    const start = cpu();
    await times(N, () => sleep(random(1000)));
    out('cpu_ns', (cpu() - start) / N);
  },

  async sleepers() {
    const [before, cpuStart, start] = [rss(), cpu(), now()];
    const all = new Array(N);
    const sleeper = async (place) => {
      await sleep(K * 1e3 + (place / N) * 1e3 - (now() - start) / 1e6);
    };
    for (let i = 0; i < N; i++) all[i] = sleeper((i * 7919) % N);
    out('create_s', (now() - start) / 1e9);
    out('rss', rss());
    out('bytes', (rss() - before) / N);
    await Promise.all(all);
    out('cpu_ns', (cpu() - cpuStart) / N);
  },

  hello() {
    console.log('hello');
  },

  idle() {
    out('rss', rss());
  },
};

async function main() {
  if (!measured[name]) {
    await others[name]();
    return;
  }
  const [cpuStart, start] = [cpu(), now()];
  await measured[name]();
  out('wall_ns', (now() - start) / N);
  out('cpu_ns', (cpu() - cpuStart) / N);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
