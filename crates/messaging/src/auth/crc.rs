//! CRC-32/CKSUM without POSIX's length suffix: polynomial 0x04C11DB7, most significant bit first,
//! initial value 0, result inverted. zlib's CRC-32 is another one and would never interoperate.

use crc::{CRC_32_CKSUM, Crc, Table};

/// Sixteen bytes at a time. A static: the tables are 16 KiB.
static CKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_CKSUM);

/// Check value: `123456789` gives 0x765e7680.
pub fn cksum(bytes: &[u8]) -> u32 {
    CKSUM.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value() {
        assert_eq!(cksum(b"123456789"), 0x765e_7680);
        assert_eq!(cksum(b""), 0xffff_ffff);
    }

    #[test]
    fn long_texts_are_bit_by_bit_the_same() {
        let step = |crc: u32, bit: u32| {
            if (crc >> 31) ^ bit == 0 { crc << 1 } else { (crc << 1) ^ 0x04c1_1db7 }
        };
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(700).collect();
        for length in 0..bytes.len() {
            let bits = bytes[..length]
                .iter()
                .flat_map(|byte| (0..8).rev().map(move |bit| u32::from(byte >> bit & 1)));
            assert_eq!(cksum(&bytes[..length]), !bits.fold(0, step), "{length}");
        }
    }
}
