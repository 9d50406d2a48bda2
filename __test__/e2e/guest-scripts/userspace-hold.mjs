// Holds a volume locked as a tool does, until it is killed: userspace-hold.mjs MODULE DEVICE
const [module, device] = process.argv.slice(2);
const { withVolumeLocked } = await import(module);
await withVolumeLocked({ device, service: "hold.ocfs2" }, async () => {
  console.log("held");
  await new Promise(() => setInterval(() => {}, 60_000));
});
