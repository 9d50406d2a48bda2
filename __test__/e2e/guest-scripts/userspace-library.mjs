// Mounts through the library on a userspace cluster stack: userspace-library.mjs MODULE DEVICE=DIRECTORY DEVICE=DIRECTORY DEVICE=DIRECTORY
// The first two at once, the third after them; the third is remounted read-only; then all are unmounted in turn.
const [module, ...pairs] = process.argv.slice(2);
const { beginGroupJoin, mountVolume, openVolume, unmountVolume } = await import(module);
const [first, second, third] = pairs.map((pair) => pair.split("="));
const volume = await openVolume(first[0]);
const join = await beginGroupJoin({ volume, service: "ocfs2" });
console.log(`joined ${volume.stack} as mount`);
await join.complete(5);
await Promise.all([first, second].map(([device, directory]) => mountVolume({ device, directory })));
await mountVolume({ device: third[0], directory: third[1] });
console.log(`mounted ${first[1]} ${second[1]} ${third[1]}`);
const { readOnly } = await mountVolume({ device: third[0], directory: third[1], options: "remount,ro" });
console.log(`${readOnly ? "read-only" : "read-write"} ${third[1]}`);
const outcomes = [];
for (const [, directory] of [first, second, third])
  outcomes.push((await unmountVolume({ target: directory })).outcome);
console.log(`unmounted ${outcomes.join(" ")}`);
