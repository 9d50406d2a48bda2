// dlmfs: a directory that a program makes in it is a DLM domain of this node, and keeps the region of its name running.
//
// Facts relied on: kernel-abi 5 (only directly below the root; the conditions of a clustered mount; names up to 63 bytes; umount
// leaves every domain) and 1.7 (pins). A domain that a volume's mount has joined too has several joins, and no directory by that.
//
// Not modelled: locks (files), domains of other nodes, the time that a first rmdir takes.
import type { WatchedMap } from "./directory-events.ts";
import { refuse } from "./errors.ts";
import { checkCluster, type Ocfs2Host } from "./ocfs2.ts";
import { directory, type DirectoryNode } from "./tree.ts";
import type { FileSystem } from "./vfs.ts";

const DLMFS_MAGIC = 0x76a9_f425;
const MAX_DOMAIN = 63;

/** A domain that is no mount's, with the number of its users. */
export interface Domain {
  users: number;
}

export interface DlmfsHost extends Ocfs2Host {
  readonly domains: WatchedMap<Domain & { events?: undefined }>;
  joinDomain(name: string): unknown;
  leaveDomain(name: string): void;
  died(fileSystem: FileSystem): void;
}

export class Dlmfs implements FileSystem {
  readonly type = "ocfs2_dlmfs";
  readonly magic = DLMFS_MAGIC;
  readonly number = { major: 0, minor: 25 };
  readonly superOptions = "rw";
  readonly root: DirectoryNode;
  readonly #host: DlmfsHost;
  readonly #made = new Set<string>();
  #users = 0;

  constructor(host: DlmfsHost) {
    this.#host = host;
    const { domains } = host;
    this.root = {
      kind: "directory",
      events: domains.events,
      names: () => [...domains.keys()],
      get: (name) => (domains.has(name) ? directory({}) : undefined),
      make: (name) => {
        if (Buffer.byteLength(name) > MAX_DOMAIN) refuse("EINVAL");
        checkCluster(host);
        host.joinDomain(name);
        this.#made.add(name);
      },
      remove: (name) => {
        this.#made.delete(name);
        host.leaveDomain(name);
      },
    };
  }

  hold(): void {
    this.#users += 1;
  }

  release(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#host.died(this);
    for (const name of this.#made) this.#host.leaveDomain(name);
    this.#made.clear();
  }
}
