// How the programs that stay and tell events are asked to tell them.
import type { OptionSyntax } from "./syntax.ts";

export const eventOptions: readonly OptionSyntax[] = [
  {
    key: "json",
    short: null,
    long: "json",
    kind: "flag",
    description: "write each event as a line of JSON",
  },
  {
    key: "verbose",
    short: "v",
    long: "verbose",
    kind: "count",
    description: "tell each event, and more about errors",
  },
];
