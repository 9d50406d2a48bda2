#!/usr/bin/env node
import { fileURLToPath } from "node:url";
import { run } from "../dist/helpers-install/command.js";

const output = { out: (line) => console.log(line), err: (line) => console.error(line) };
process.exitCode = run(process.argv.slice(2), fileURLToPath(new URL("..", import.meta.url)), output);
