#!/usr/bin/env node
import { createRequire } from "node:module";

// Not by import: node would first read the whole bundle for its exports, which takes longer than running it.
createRequire(import.meta.url)("../dist/cli/ocfs2_controld.cjs").main();
