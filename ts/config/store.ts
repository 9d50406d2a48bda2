// cluster.conf on disk: reading it, and changing it so that no change is lost and a failure leaves the old file.
//
// Facts relied on: a missing file is a valid one without clusters (group-api 6.1). A changed text is only written when the C tools can
// load it (model.ts); a file that they cannot load now may be repaired by the change. See file.ts for the lock.
import { CLUSTER_CONF, ConfDocument } from "./cluster-conf.ts";
import { changeText, readText, type ChangeOptions } from "./file.ts";
import { clusterConfig, type ClusterConfig } from "./model.ts";
import type { Native } from "../native-types.ts";

export interface LoadedConfig {
  path: string;
  /** false: there is no file, which means no clusters */
  exists: boolean;
  document: ConfDocument;
  config: ClusterConfig;
}

/** Errors: O2CB_CONFIGURATION_ERROR with `line` and `column`, what the kernel says of the file. */
export async function loadConfig(
  native: Native,
  path: string = CLUSTER_CONF,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<LoadedConfig> {
  const text = await readText(native, path, options.signal);
  const document = new ConfDocument(text ?? "", path);
  return { path, exists: text !== null, document, config: clusterConfig(document) };
}

export interface ConfigChange extends LoadedConfig {
  /** null where there was no file */
  before: string | null;
  after: string;
  /** false for a dry run, and where the text stays as it is */
  written: boolean;
}

/**
 * Lets `edit` change the document, and writes it where the text is another then. `exists`, `document` and `config` tell what is there
 * afterwards, or would be.
 * Errors: as loadConfig, what `edit` throws, O2CB_TIMEOUT where another change has not ended for 30 s.
 */
export async function changeConfig(
  native: Native,
  path: string,
  edit: (document: ConfDocument) => void,
  options: ChangeOptions = {},
): Promise<ConfigChange> {
  let document = new ConfDocument("", path);
  let config: ClusterConfig = { clusters: [] };
  const change = (text: string): string => {
    document = new ConfDocument(text, path);
    edit(document);
    // As others will read it, not as this document knows itself.
    document = new ConfDocument(document.text, path);
    config = clusterConfig(document);
    return document.text;
  };
  const { before, after, written } = await changeText(native, path, change, options);
  return { path, exists: before !== null || after !== "", document, config, before, after, written };
}
