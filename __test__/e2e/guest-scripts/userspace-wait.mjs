// Mounts through the library, tells each step, and hears SIGUSR1 meanwhile: userspace-wait.mjs MODULE DEVICE DIRECTORY
const [module, device, directory] = process.argv.slice(2);
const { mountVolume } = await import(module);
process.on("SIGUSR1", () => console.log("heard SIGUSR1"));
await mountVolume({ device, directory, onStep: ({ step }) => console.log(step) });
console.log(`mounted ${directory}`);
