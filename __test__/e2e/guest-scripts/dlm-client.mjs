// A program that uses the DLM through the library, told what to do line by line: dlm-client.mjs MODULE FIFO. Each line of the FIFO is a
// JSON array [number, what, ...arguments]; each answer is a line {"n":number,"ok":...} or {"n":number,"error":{...}}.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

const [module, fifo] = process.argv.slice(2);
const api = await import(module);
const held = new Map();
const waiting = new Map();
let dlm = null;
let space = null;
let steps = [];
const onStep = (step) =>
  steps.push(step.step === "wait-lock" ? `${step.holder}${step.isQueued ? " queued" : ""}` : step.step);

const actions = {
  async volume(device, service = "dlm-test") {
    dlm = await api.initializeDlm(await api.openVolume(device), { service, onStep });
    space = dlm.locks;
    return dlm.domain;
  },
  async domain(domain) {
    space = await api.openLockSpace({ domain, onStep });
  },
  async lock(key, name, options = {}) {
    const controller = new AbortController();
    waiting.set(key, controller);
    const lock = await space.lock(name, { ...options, signal: controller.signal, onStep });
    held.set(key, lock);
    return lock.level;
  },
  async abort(key) {
    waiting.get(key)?.abort();
  },
  async unlock(key, options = {}) {
    await held.get(key).unlock(options);
    held.delete(key);
  },
  async read(key) {
    return Buffer.from(await held.get(key).readValue())
      .toString("latin1")
      .replace(/\0+$/, "");
  },
  async write(key, text) {
    await held.get(key).writeValue(Buffer.from(text, "latin1"));
  },
  /** answers when another node waits for the lock */
  async notified(key) {
    for await (const { name } of held.get(key).notifications()) return name;
    return null;
  },
  async lockDown(options = {}) {
    await api.lockDownCluster(dlm, { ...options, onStep });
  },
  release: () => api.releaseCluster(dlm, { onStep }),
  shutdown: () => (dlm === null ? space.leave() : dlm.shutdown()),
  async steps() {
    const all = steps;
    steps = [];
    return all;
  },
  async exit() {
    // An exit would wait for the read of the FIFO, which never ends.
    setImmediate(() => process.kill(process.pid, "SIGKILL"));
  },
};

const say = (answer) => console.log(JSON.stringify(answer));
say({ n: 0, ok: process.pid });
// Open for both, so that there is always a writer.
for await (const line of createInterface({ input: createReadStream(fifo, { flags: "r+" }) })) {
  const [n, what, ...args] = JSON.parse(line);
  void actions[what](...args).then(
    (ok) => say({ n, ok: ok ?? null }),
    (error) => {
      const { code, message, outcome, rollbackError } = error;
      say({ n, error: { code, message, outcome, rollback: rollbackError?.message } });
      error.settled?.then(() => say({ settled: n }));
    },
  );
}
