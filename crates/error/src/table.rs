//! The table of codes. A code is never renamed and never reused, since people search for it; adding one is a minor version.

/// One row: the code's name as programs see it, where it can come from, and its default sentence.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// The name that programs compare, `O2CB_…`.
    pub name: &'static str,
    /// What it means, as a lower-case phrase.
    pub sentence: &'static str,
    /// What a person can do about it, as an imperative phrase; empty where only the detail can tell.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($( $variant:ident $name:literal $sentence:literal $remedy:literal )*) => {
        /// A stable error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $( #[doc = $sentence] $variant, )* }

        /// Every code, in the order of its number.
        pub const TABLE: &[Entry] = &[ $( Entry { code: Code::$variant, name: $name, sentence: $sentence, remedy: $remedy }, )* ];
    };
}

codes! {
    // The 22 of libo2cb, in the order of its table (group-api 7.1).
    InvalidClusterName "O2CB_INVALID_CLUSTER_NAME" "the cluster's name is not the running cluster's" "compare the volume's cluster name with the registered cluster"
    NoMemory "O2CB_NO_MEMORY" "the kernel has no memory left for this" ""
    Io "O2CB_IO" "input or output failed" "look at the kernel log and at the path to the disk"
    ServiceUnavailable "O2CB_SERVICE_UNAVAILABLE" "the cluster service is not available on this node" "bring the cluster online (o2cb register-cluster NAME)"
    InternalFailure "O2CB_INTERNAL_FAILURE" "an unexpected failure" ""
    PermissionDenied "O2CB_PERMISSION_DENIED" "permission denied" "run it as root, in the initial namespaces"
    ClusterExists "O2CB_CLUSTER_EXISTS" "the cluster exists already" ""
    NodeExists "O2CB_NODE_EXISTS" "the node exists already" ""
    RegionExists "O2CB_REGION_EXISTS" "the heartbeat region exists already" ""
    RegionInUse "O2CB_REGION_IN_USE" "the heartbeat region is in use" "unmount the volume and stop the programs that use it first"
    InvalidBlockSize "O2CB_INVALID_BLOCK_SIZE" "the heartbeat block size is not usable on this device" ""
    InvalidBlockCount "O2CB_INVALID_BLOCK_COUNT" "the number of heartbeat blocks is not between 1 and 255" ""
    HostnameUnknown "O2CB_HOSTNAME_UNKNOWN" "this host's name is not known" ""
    ConfigurationError "O2CB_CONFIGURATION_ERROR" "the cluster's configuration is not consistent" "compare /etc/ocfs2/cluster.conf with this host's name and address"
    InvalidNodeNum "O2CB_INVALID_NODE_NUM" "the node number cannot be read" ""
    ModuleNotLoaded "O2CB_MODULE_NOT_LOADED" "a kernel module is not loaded" "load the module, or install the package that holds the kernel's ocfs2 modules"
    BadSem "O2CB_BAD_SEM" "the region's semaphore set cannot be opened" "look for another set under the same key with ipcs -s"
    NoSem "O2CB_NO_SEM" "the region's semaphore set was destroyed" ""
    BadVersion "O2CB_BAD_VERSION" "a version of the kernel's interface is not one this package knows" ""
    InvalidStackName "O2CB_INVALID_STACK_NAME" "the volume's cluster stack is not the running one" ""
    UnknownRegion "O2CB_UNKNOWN_REGION" "no device carries this heartbeat region" ""
    InvalidHeartbeatMode "O2CB_INVALID_HEARTBEAT_MODE" "the volume's heartbeat mode is not the cluster's" "change the cluster's heartbeat mode, or the volume's with tunefs.ocfs2"

    // What the original folds together.
    JoinInProgress "O2CB_JOIN_IN_PROGRESS" "this join is not complete yet" ""
    NotJoined "O2CB_NOT_JOINED" "this membership has ended" ""
    StackMismatch "O2CB_STACK_MISMATCH" "the volume belongs to a cluster stack that is not running here" ""
    BadSuperblock "O2CB_BAD_SUPERBLOCK" "the device holds no usable OCFS2 superblock" "check the device's name; fsck.ocfs2 can restore a superblock from a backup"
    BadHeartbeatFile "O2CB_BAD_HEARTBEAT_FILE" "the volume's heartbeat file is not usable" "run fsck.ocfs2 on the volume"
    BadDirectory "O2CB_BAD_DIRECTORY" "the volume's system directory is not usable" "run fsck.ocfs2 on the volume"
    RegionMismatch "O2CB_REGION_MISMATCH" "the running heartbeat region is not this volume's" "stop the users of the region, then try again"
    InvalidRegionName "O2CB_INVALID_REGION_NAME" "the region's name is not 32 upper-case hexadecimal digits" ""
    HeartbeatFailed "O2CB_HEARTBEAT_FAILED" "the heartbeat did not become stable" "look at the kernel log for another node with the same number, and at the path to the disk"
    MountFailed "O2CB_MOUNT_FAILED" "the kernel refused the mount" ""
    UnmountFailed "O2CB_UNMOUNT_FAILED" "the kernel refused to unmount" ""
    NotMounted "O2CB_NOT_MOUNTED" "nothing of OCFS2 is mounted there" ""
    BadMountOption "O2CB_BAD_MOUNT_OPTION" "a mount option cannot be used" ""
    BadMountPoint "O2CB_BAD_MOUNT_POINT" "the mount point cannot be used" "create the directory, or name another"
    BadDevice "O2CB_BAD_DEVICE" "the device cannot be used" ""
    Timeout "O2CB_TIMEOUT" "the time allowed has passed" ""
    Aborted "O2CB_ABORTED" "the caller gave up" ""
    NativeMissing "O2CB_NATIVE_MISSING" "the native module for this platform is not installed" "install the package again for this platform, or build it with npm run build"
    Namespace "O2CB_NAMESPACE" "this process is not in the host's own namespaces" "run it on the host itself, not in a container"
    AlreadyRunning "O2CB_ALREADY_RUNNING" "another one runs on this host" ""

    // The DLM for programs.
    DlmUnavailable "O2CB_DLM_UNAVAILABLE" "the distributed lock manager cannot be reached on this node" "load it and mount dlmfs: o2cb load"
    DlmFailed "O2CB_DLM_FAILED" "the distributed lock manager refused" "look at the kernel log"
    InvalidDomainName "O2CB_INVALID_DOMAIN_NAME" "the domain's name cannot be used" ""
    DomainInUse "O2CB_DOMAIN_IN_USE" "somebody on this node still uses the DLM domain" ""
    InvalidLockName "O2CB_INVALID_LOCK_NAME" "the lock's name cannot be used" ""
    LockBusy "O2CB_LOCK_BUSY" "the lock is held by somebody else" ""
    LockValueInvalid "O2CB_LOCK_VALUE_INVALID" "the lock's value block was lost" "write it again under an exclusive lock"
    VolumeInUse "O2CB_VOLUME_IN_USE" "the volume is in use" "unmount it on every node and stop the programs that use it"

    // Changes of a volume.
    UnsupportedVolume "O2CB_UNSUPPORTED_VOLUME" "the volume is in a state that this cannot change" "run fsck.ocfs2 on the volume"
    VerifyFailed "O2CB_VERIFY_FAILED" "what was written does not read back" "look at the kernel log and at the path to the disk"
    BadUndoFile "O2CB_BAD_UNDO_FILE" "the undo file cannot be used" ""

    // Userspace cluster stacks.
    DaemonRefused "O2CB_DAEMON_REFUSED" "the stack's control daemon refused" ""
    BadMessage "O2CB_BAD_MESSAGE" "a message of the control protocol cannot be read" "compare the versions of both programs"
    UnsafeKernel "O2CB_UNSAFE_KERNEL" "this kernel cannot survive what this would have it do" ""
}

impl Code {
    /// The code's row.
    pub fn entry(self) -> &'static Entry {
        &TABLE[self as usize]
    }

    /// The name that programs compare.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// What an errno means where nothing better is known (group-api 5.1).
    /// Numbers are Linux's, the same on every architecture this package names.
    pub fn from_errno(errno: i32) -> Code {
        match errno {
            1 | 13 | 30 => Code::PermissionDenied,   // EPERM EACCES EROFS
            2 | 20 | 21 => Code::ServiceUnavailable, // ENOENT ENOTDIR EISDIR
            5 => Code::Io,                           // EIO
            12 => Code::NoMemory,                    // ENOMEM
            4 => Code::Aborted,                      // EINTR reaches a caller only after a cancellation
            110 => Code::Timeout,                    // ETIMEDOUT
            _ => Code::InternalFailure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_its_number_and_names_are_unique() {
        for (index, entry) in TABLE.iter().enumerate() {
            assert_eq!(entry.code as usize, index);
            assert!(entry.name.starts_with("O2CB_"), "{}", entry.name);
            assert!(TABLE.iter().filter(|other| other.name == entry.name).count() == 1, "{}", entry.name);
            assert!(!entry.sentence.is_empty() && !entry.sentence.ends_with('.'));
        }
        assert_eq!(TABLE[21].name, "O2CB_INVALID_HEARTBEAT_MODE");
    }

    #[test]
    fn the_three_that_fsck_tells_apart_stay_apart() {
        let three = [Code::InvalidStackName, Code::InvalidClusterName, Code::InvalidHeartbeatMode];
        assert_eq!(three.map(|code| code as usize), [19, 0, 21]);
    }
}
