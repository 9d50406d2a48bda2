// `npm run build`: the library, the bundled commands, and the package of compiled files.
import { platform } from "./lib/platform.mjs";
import { prepare } from "./lib/prepare.mjs";
import { note, script } from "./lib/say.mjs";

await script(async () => {
  await prepare("dist");
  note(`built: dist/ and ${platform.directory}/`);
});
