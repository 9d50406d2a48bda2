// dlmfs: a directory that a program makes in it is a DLM domain of this node, and keeps the region of its name running; a file in that
// is a lock.
//
// Facts relied on: kernel-abi 5 (only directly below the root; the conditions of a clustered mount; names up to 63 and 31 bytes; umount
// leaves every domain; rmdir refuses while lock files are there) and 1.7 (pins). A domain that a volume's mount has joined too has several
// joins, and no directory by that. What a lock is, is in dlm-locks.ts.
//
// Not modelled: the time that a first rmdir takes.
import { WatchedMap } from "./directory-events.ts";
import type { DlmLocks, DlmLockState } from "./dlm-locks.ts";
import { refuse } from "./errors.ts";
import { checkCluster, type Ocfs2Host } from "./ocfs2.ts";
import { type DirectoryNode, type FileNode } from "./tree.ts";
import type { FileSystem } from "./vfs.ts";

const DLMFS_MAGIC = 0x76a9_f425;
const MAX_DOMAIN = 63;
const MAX_LOCK = 31;

/** A domain that is no mount's, with the number of its users. */
export interface Domain {
  users: number;
  /** its lock files */
  files?: WatchedMap<LockFile>;
}

export type LockFile = FileNode & { readonly lock: DlmLockState; readonly events?: undefined };

export interface DlmfsHost extends Ocfs2Host {
  readonly domains: WatchedMap<Domain & { events?: undefined }>;
  readonly dlmLocks: DlmLocks;
  enterDomain(name: string): unknown;
  leaveDomain(name: string): void;
  died(fileSystem: FileSystem): void;
}

/** A domain's directory. */
export class DomainDirectory implements DirectoryNode {
  readonly kind = "directory";
  readonly files: WatchedMap<LockFile>;
  readonly #host: DlmfsHost;
  readonly #domain: string;

  constructor(host: DlmfsHost, name: string, domain: Domain) {
    this.#host = host;
    this.#domain = name;
    this.files = domain.files ??= new WatchedMap();
  }

  get events(): WatchedMap<LockFile>["events"] {
    return this.files.events;
  }

  names(): string[] {
    return [...this.files.keys()];
  }

  get(name: string): LockFile | undefined {
    return this.files.get(name);
  }

  /** open(2) with O_CREAT, as far as the file. */
  create(name: string): DlmLockState {
    if (Buffer.byteLength(name) > MAX_LOCK || name.startsWith("$")) refuse("EINVAL");
    let file = this.files.get(name);
    if (file === undefined) {
      file = { kind: "file", lock: this.#host.dlmLocks.lock(this.#domain, name) };
      this.files.set(name, file);
    }
    return file.lock;
  }

  /** unlink(2) */
  unlink(name: string): void {
    const file = this.files.get(name);
    if (file === undefined) refuse("ENOENT");
    if (!file.lock.unlink()) refuse("EBUSY");
    this.files.delete(name);
  }
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
      get: (name) => {
        const domain = domains.get(name);
        return domain && new DomainDirectory(host, name, domain);
      },
      make: (name) => {
        if (Buffer.byteLength(name) > MAX_DOMAIN) refuse("EINVAL");
        checkCluster(host);
        host.enterDomain(name);
        this.#made.add(name);
      },
      remove: (name) => {
        if ((domains.get(name)?.files?.size ?? 0) > 0) refuse("ENOTEMPTY");
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
