// Mounts several volumes at once from one process through the library: mount-many.mjs MODULE DEVICE=DIRECTORY...
// Prints the milliseconds until all are mounted; then unmounts all of them at once when UNMOUNT=1.
const [module, ...pairs] = process.argv.slice(2);
const { mountVolume, unmountVolume } = await import(module);
const targets = pairs.map((pair) => pair.split("="));
const began = performance.now();
await Promise.all(targets.map(([device, directory]) => mountVolume({ device, directory })));
console.log(`mounted ${targets.length} in ${Math.round(performance.now() - began)} ms`);
if (process.env.UNMOUNT === "1") {
  const ended = await Promise.all(targets.map(([, directory]) => unmountVolume({ target: directory })));
  console.log(ended.map(({ outcome }) => outcome).join(" "));
}
