//! What volume a device carries, from the few bytes that name it: for looking at many devices, damaged ones included.
//!
//! Source: specification disk-format sections 1.1, 1.3 and 1.4. Only the signature is needed; whether the superblock is one is another
//! question ([`crate::Superblock::parse`]). Text fields are raw bytes: whoever shows them decides how.

use crate::bytes::{bytes_at, u8_at, u32_at};
use crate::superblock::{
    CLUSTER_NAME, INCOMPAT_CLUSTERINFO, INCOMPAT_USERSPACE_STACK, LABEL, MAX_BLOCK_BYTES, SIGNATURE,
    SUPERBLOCK_BLOCK,
};

/// Where superblocks can begin: block 2 of each block size.
const PLACES: [u64; 4] = [1024, 2048, 4096, 8192];
/// Every place ends within these first bytes of a device.
pub const HEAD_BYTES: usize = (SUPERBLOCK_BLOCK as usize + 1) * MAX_BLOCK_BYTES as usize;
/// The fields end here.
const FIELD_BYTES: usize = 512;

/// What names a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Byte at which the superblock begins.
    pub offset: u64,
    /// In the order in which they are printed.
    pub uuid: [u8; 16],
    /// Up to the first NUL, at most 64 bytes.
    pub label: Vec<u8>,
    /// Incompatible features.
    pub feature_incompat: u32,
    /// Four bytes up to a NUL; none where the volume carries no cluster information.
    pub stack_label: Option<Vec<u8>>,
    /// Bit 0: global heartbeat. 0 where the volume carries no cluster information.
    pub stack_flags: u8,
    /// Up to the first NUL, at most 16 bytes; none likewise.
    pub cluster_name: Option<Vec<u8>>,
}

impl Identity {
    /// The first that stands in `head`, the first [`HEAD_BYTES`] of a device or all it has.
    pub fn find(head: &[u8]) -> Option<Identity> {
        PLACES.into_iter().find_map(|offset| {
            let block = head.get(usize::try_from(offset).ok()?..)?.get(..FIELD_BYTES)?;
            if block.starts_with(SIGNATURE) { Self::of(block, offset) } else { None }
        })
    }

    /// The fields of a superblock's first bytes, `block`, which stood at `offset`.
    pub fn of(block: &[u8], offset: u64) -> Option<Identity> {
        let feature_incompat = u32_at(block, 0xE0).ok()?;
        let stamped = feature_incompat & (INCOMPAT_USERSPACE_STACK | INCOMPAT_CLUSTERINFO) != 0;
        let stack_label: [u8; 4] = bytes_at(block, 0x160).ok()?;
        let cluster_name: [u8; 16] = bytes_at(block, CLUSTER_NAME).ok()?;
        Some(Identity {
            offset,
            uuid: bytes_at(block, 0x150).ok()?,
            label: until_nul(&bytes_at::<64>(block, LABEL).ok()?),
            feature_incompat,
            stack_label: stamped.then(|| until_nul(&stack_label)),
            stack_flags: if stamped { u8_at(block, 0x164).ok()? } else { 0 },
            cluster_name: stamped.then(|| until_nul(&cluster_name)),
        })
    }
}

/// The bytes of a NUL-padded field.
pub(crate) fn until_nul(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(offset: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; HEAD_BYTES];
        head[offset..offset + 6].copy_from_slice(b"OCFSV2");
        for (at, bytes) in fields {
            head[offset + at..offset + at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn fields_that_fill_their_room_end_with_it() {
        let fields: [(usize, &[u8]); 5] = [
            (LABEL, &[b'l'; 64]),
            (0x150, &[0xEE; 16]),
            (0xE1, &[0x40]),
            (0x160, b"o2cb\x01"),
            (CLUSTER_NAME, &[0xFF; 16]),
        ];
        for offset in PLACES {
            let identity = Identity::find(&head(offset as usize, &fields)).unwrap();
            assert_eq!(identity.offset, offset);
            assert_eq!((identity.label, identity.uuid), (vec![b'l'; 64], [0xEE; 16]));
            assert_eq!(identity.stack_label.unwrap(), b"o2cb");
            assert_eq!((identity.stack_flags, identity.cluster_name.unwrap()), (1, vec![0xFF; 16]));
        }
    }

    #[test]
    fn without_the_feature_there_is_no_stamp() {
        let identity = Identity::find(&head(2048, &[(0x160, b"o2cb\x01"), (CLUSTER_NAME, b"lab")])).unwrap();
        assert_eq!((identity.stack_label, identity.stack_flags, identity.cluster_name), (None, 0, None));
    }

    #[test]
    fn the_first_place_counts_and_a_short_device_has_none() {
        let mut both = head(1024, &[(LABEL, b"first")]);
        both[4096..4102].copy_from_slice(SIGNATURE);
        assert_eq!(Identity::find(&both).unwrap().label, b"first");
        assert_eq!(Identity::find(&both[..1024 + 511]), None);
        assert_eq!(Identity::find(&[]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..HEAD_BYTES), place in 0_usize..4) {
            let mut bytes = bytes;
            let offset = PLACES[place] as usize;
            if let Some(room) = bytes.get_mut(offset..offset + 6) {
                room.copy_from_slice(SIGNATURE);
            }
            if let Some(identity) = Identity::find(&bytes) {
                prop_assert!(identity.label.len() <= 64 && !identity.label.contains(&0));
                prop_assert!(identity.cluster_name.is_none_or(|name| name.len() <= 16));
            }
        }
    }
}
