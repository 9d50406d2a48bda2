#!/usr/bin/env node
import { main } from "../dist/cli/mount.ocfs2.cjs";

main();
