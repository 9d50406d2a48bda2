// A program for lab.spec.ts: boots one machine, prints the lab's directory, and waits to be ended.
import { dirname } from "node:path";
import { Lab } from "./lab.ts";

const lab = await Lab.boot({ nodes: 1, limitSeconds: 60 });
console.log(dirname(lab.exchange));
