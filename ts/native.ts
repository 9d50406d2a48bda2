// The only import of the native module. (Filled in by the binding's author.)
export type * from "./native-types.ts";
