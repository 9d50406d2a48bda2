// One use of the native core, told as JSON: userspace-native.mjs MODULE 'the body of an async function of native and print'
const [module, body] = process.argv.slice(2);
const { loadNative } = await import(module);
const print = (value) => console.log(JSON.stringify(value));
const refused = (promise) => promise.then(JSON.stringify, ({ code, message }) => `${code} ${message}`);
const AsyncFunction = (async () => {}).constructor;
await new AsyncFunction("native", "print", "refused", body)(loadNative(), print, refused);
