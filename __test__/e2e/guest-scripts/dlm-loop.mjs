// How many locks a second through the library, uncontended: dlm-loop.mjs MODULE DOMAIN LOCK SECONDS. One line for each way, `name N`.
const [module, domain, name, text] = process.argv.slice(2);
const { openLockSpace } = await import(module);
const milliseconds = Number(text) * 1000;
const space = await openLockSpace({ domain });

/** `width` loops at once, each taking and giving up one lock after the other. */
async function rate(width, nameOf, options) {
  const end = performance.now() + milliseconds;
  const began = performance.now();
  let count = 0;
  await Promise.all(
    Array.from({ length: width }, async (_, index) => {
      const own = nameOf(index);
      while (performance.now() < end) {
        for (let turn = 0; turn < 16; turn += 1) {
          const held = await space.lock(own);
          await held.unlock(options);
        }
        count += 16;
      }
    }),
  );
  return Math.round((count / (performance.now() - began)) * 1000);
}

console.log(`warm ${await rate(1, () => name, { keep: true })}`);
console.log(`one ${await rate(1, () => name, { keep: true })}`);
console.log(`names64 ${await rate(64, (index) => `${name}${index}`, { keep: true })}`);
console.log(`same64 ${await rate(64, () => name, { keep: true })}`);
console.log(`drop ${await rate(1, () => name, {})}`);
await space.leave();
