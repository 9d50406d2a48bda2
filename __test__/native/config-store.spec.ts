// Twenty processes that change one cluster.conf at once, over the real module: nothing is lost.
import { chmodSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { loadNative } from "../../ts/native.ts";
import { changeConfig, loadConfig } from "../../ts/config/store.ts";
import { addCluster, removeCluster } from "../../ts/config/edit.ts";
import { child, scratch } from "./support.ts";

const native = loadNative();
const WRITERS = 20;
const source = (file: string): string =>
  JSON.stringify(new URL(`../../ts/config/${file}`, import.meta.url).href);

test("twenty parallel writers lose nothing", async (t) => {
  t.timeout(120_000);
  const path = join(scratch(t), "ocfs2", "cluster.conf");
  await changeConfig(native, path, (document) => addCluster(document, "web"));
  const script = (n: number): string => `
    const { changeConfig } = await import(${source("store.ts")});
    const { addNode } = await import(${source("edit.ts")});
    forever();
    process.once("SIGUSR2", async () => {
      await changeConfig(native, ${JSON.stringify(path)}, (document) => {
        addNode(document, "web", { name: "n${n}", address: "10.0.0.${n}" });
      });
      process.exit(0);
    });
    print("ready");`;
  const writers = Array.from({ length: WRITERS }, (_, n) => child(t, script(n)));
  await Promise.all(writers.map(async (writer) => t.is(await writer.line(), "ready")));
  for (const { process } of writers) process.kill("SIGUSR2");
  t.deepEqual(await Promise.all(writers.map(({ ended }) => ended)), Array(WRITERS).fill(0));
  const [cluster] = (await loadConfig(native, path)).config.clusters;
  t.is(cluster?.nodeCount, WRITERS);
  const names = cluster?.nodes.map(({ name }) => name).toSorted();
  t.deepEqual(names, Array.from({ length: WRITERS }, (_, n) => `n${n}`).toSorted());
  t.deepEqual(
    cluster?.nodes.map(({ number }) => number).toSorted((a, b) => a - b),
    Array.from({ length: WRITERS }, (_, n) => n),
  );
  t.deepEqual(readdirSync(join(path, "..")).toSorted(), [".cluster.conf.lock", "cluster.conf"]);
});

test("the file gets mode 0644, and a link to it stays", async (t) => {
  const root = scratch(t);
  const real = join(root, "real.conf");
  writeFileSync(real, "# ours\n");
  chmodSync(real, 0o600);
  symlinkSync("real.conf", join(root, "cluster.conf"));
  await changeConfig(native, join(root, "cluster.conf"), (document) => addCluster(document, "web"));
  t.is(statSync(real).mode & 0o7777, 0o644);
  t.true(readFileSync(real, "utf8").startsWith("# ours\n\ncluster:\n\tname = web\n"));
  t.deepEqual(readdirSync(root).toSorted(), [".real.conf.lock", "cluster.conf", "real.conf"]);
});

test("a byte that is not UTF-8 stays as it is: the change is refused", async (t) => {
  const path = join(scratch(t), "cluster.conf");
  const before = Buffer.from("# caf\xe9\ncluster:\n\tname = web\n\tnode_count = 0\n", "latin1");
  writeFileSync(path, before);
  t.is((await loadConfig(native, path)).config.clusters[0]?.name, "web");
  await t.throwsAsync(
    changeConfig(native, path, (document) => removeCluster(document, "web")),
    { code: "O2CB_CONFIGURATION_ERROR", message: /line 1, column 6/ },
  );
  t.deepEqual(readFileSync(path), before);
});
