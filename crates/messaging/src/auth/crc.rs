//! CRC-32/CKSUM without POSIX's length suffix: polynomial 0x04C11DB7, most significant bit first,
//! initial value 0, result inverted. zlib's CRC-32 is another one and would never interoperate.

const POLYNOMIAL: u32 = 0x04c1_1db7;
const TABLE: [u32; 256] = table();

/// Check value: `123456789` gives 0x765e7680.
pub fn cksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| (crc << 8) ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)];
    !bytes.iter().fold(0, step)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value() {
        assert_eq!(cksum(b"123456789"), 0x765e_7680);
        assert_eq!(cksum(b""), 0xffff_ffff);
    }
}
