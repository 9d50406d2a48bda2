#!/usr/bin/env node
import { main } from "../dist/cli/umount.ocfs2.cjs";

main();
