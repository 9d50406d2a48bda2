// What a command line of tunefs.ocfs2 asks for. What does not go together is refused.
import { O2cbError } from "../errors.ts";
import { queryFormat, type QueryFormat } from "../tune/query.ts";
import { wantedOf, type TuneVolumeRequest } from "../tune/request.ts";
import { UsageError, type Arguments } from "./argv.ts";
import { tunefsSyntax } from "./tunefs-syntax.ts";

export type TunefsRequest = { device: string; answer: "yes" | "no" | "ask"; dryRun: boolean } & (
  | { action: "query"; format: QueryFormat }
  | { action: "undo"; file: string }
  | { action: "tune"; tune: Pick<TuneVolumeRequest, TuneKey> }
);

type TuneKey = "device" | "label" | "uuid" | "mount" | "updateClusterStack" | "undoFile";

const CHANGES = ["label", "uuid", "mount", "updateClusterStack"] as const;

/** @throws UsageError */
export function tunefsRequest(args: Arguments): TunefsRequest {
  const device = args.operand("device");
  const answer = args.flag("yes") ? "yes" : args.flag("no") ? "no" : "ask";
  const common = { device, answer, dryRun: args.flag("dryRun") } as const;
  const changes = CHANGES.filter((key) => args.flag(key));
  const [query, undo] = [args.value("query"), args.value("undo")];
  if (query !== null) {
    refuseBeside(args, "query", [...CHANGES, "undo", "undoFile", "noUndo", "dryRun"]);
    return { ...common, action: "query", format: asUsage(() => queryFormat(query)) };
  }
  if (undo !== null) {
    refuseBeside(args, "undo", [...CHANGES, "undoFile", "noUndo"]);
    if (undo === "") throw new UsageError("the undo file is empty");
    return { ...common, action: "undo", file: undo };
  }
  if (changes.length === 0)
    throw new UsageError(
      "there is nothing to change: name -L, -U, -M or --update-cluster-stack, or ask with -Q",
    );
  refuseBeside(args, "noUndo", ["undoFile"]);
  const undoFile = args.value("undoFile");
  if (undoFile === "") throw new UsageError("the undo file is empty");
  const label = args.value("label");
  const mount = args.value("mount");
  if (mount !== null && mount !== "local" && mount !== "cluster")
    throw new UsageError(`-M is for 'local' or 'cluster', not for '${mount}'`);
  const tune: Pick<TuneVolumeRequest, TuneKey> = {
    device,
    ...(label !== null && { label }),
    ...(args.flag("uuid") && { uuid: args.value("uuid") || "random" }),
    ...(mount !== null && { mount }),
    updateClusterStack: args.flag("updateClusterStack"),
    ...(args.flag("noUndo") ? { undoFile: null } : undoFile !== null && { undoFile }),
  };
  asUsage(() => wantedOf(tune));
  return { ...common, action: "tune", tune };
}

function refuseBeside(args: Arguments, key: string, others: readonly string[]): void {
  const other = others.find((one) => args.flag(one));
  if (!args.flag(key) || other === undefined) return;
  throw new UsageError(`${named(key)} and ${named(other)} exclude each other`);
}

function named(key: string): string {
  return `--${tunefsSyntax.options.find((option) => option.key === key)?.long ?? key}`;
}

/** What the library calls a wrong argument is a wrong command line here. */
function asUsage<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    const isWrong = error instanceof TypeError || error instanceof RangeError || error instanceof O2cbError;
    if (!isWrong) throw error;
    throw new UsageError(error.message.replace(/^tuneVolume: /, ""));
  }
}
