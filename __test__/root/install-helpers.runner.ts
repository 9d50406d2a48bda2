// Runs the command as a process for install-helpers.spec.ts: PACKAGE_ROOT COMMAND [OPTION]...
import { run } from "../../ts/helpers-install/command.ts";

const [packageRoot = "", ...argv] = process.argv.slice(2);
const output = { out: (line: string) => console.log(line), err: (line: string) => console.error(line) };
process.exitCode = run(argv, packageRoot, output);
