// How ava runs the TypeScript tests: sources are compiled on the fly, one process per file (a crash of the native module
// then costs one file, and a semaphore's undo is per file). `npm test` adds the order of the tiers and the closing line.
export default {
  extensions: { ts: "module" },
  nodeArguments: ["--import=@oxc-node/core/register"],
  files: ["__test__/**/*.spec.ts"],
  workerThreads: false,
  // Time without any result, not per test. The machines' tier gets more from scripts/lib/tiers.mjs.
  timeout: "90s",
};
