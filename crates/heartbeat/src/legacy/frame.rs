//! Frames of Heartbeat's client socket: eight bytes of header and a classic message (Heartbeat
//! 3.0.6, §13.1). It gives no meaning to the message.

use hb_messaging::error::{DecodeError, EncodeError};
use hb_messaging::fields::FieldList;
use hb_messaging::wire;

/// Length and mark, both in the byte order of the machine.
const HEADER: usize = 8;
/// The second word of the header.
const MARK: u32 = 0xabcd;
/// Longest message of a client; the longest request of `cl_status` has some 150 bytes.
pub(crate) const BODY_MAX: usize = 8 * 1024;

/// Why a client is not understood. There is no way back into step: its connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// The second word of the header.
    #[error("no frame of Heartbeat's client library (mark {0:#x})")]
    Mark(u32),
    /// The first word of the header.
    #[error("a message of {0} bytes; {BODY_MAX} is the longest")]
    Length(i32),
    /// The message.
    #[error("{0}")]
    Body(#[from] DecodeError),
}

/// Takes one message from the beginning of `buffer`; `None` when it is not all there. As long as
/// its caller stops on errors, the buffer needs [`room`] bytes at most.
pub(crate) fn take(buffer: &mut Vec<u8>) -> Result<Option<FieldList>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER>() else { return Ok(None) };
    let [a, b, c, d, e, f, g, h] = *header;
    let (length, mark) = (i32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
    if mark != MARK {
        return Err(FrameError::Mark(mark));
    }
    let body = match usize::try_from(length) {
        Ok(body) if (1..=BODY_MAX).contains(&body) => body,
        Ok(_) | Err(_) => return Err(FrameError::Length(length)),
    };
    let Some(bytes) = buffer.get(HEADER..HEADER + body) else { return Ok(None) };
    let fields = wire::decode(bytes)?.fields;
    buffer.drain(..HEADER + body);
    Ok(Some(fields))
}

/// How many more bytes may be read into `buffer`: one whole frame is the most it ever holds.
pub(crate) fn room(buffer: &[u8]) -> usize {
    (HEADER + BODY_MAX).saturating_sub(buffer.len())
}

/// One framed message.
pub(crate) fn encode(fields: &FieldList) -> Result<Vec<u8>, EncodeError> {
    let body = wire::encode_unsigned(fields)?;
    let length = i32::try_from(body.len()).map_err(|_| EncodeError::TooLarge)?;
    let header = [length.to_ne_bytes(), MARK.to_ne_bytes()].concat();
    Ok([header, body].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(length: i32, mark: u32, body: &[u8]) -> Vec<u8> {
        [&length.to_ne_bytes()[..], &mark.to_ne_bytes()[..], body].concat()
    }

    #[test]
    fn the_sign_on_reply_of_heartbeat_3_0_6() {
        let mut list = FieldList::new();
        for (name, value) in [("t", "hbapi-resp"), ("reqtype", "signon"), ("result", "OK")] {
            list.push_text(name, value);
        }
        let body = b">>>\nt=hbapi-resp\nreqtype=signon\nresult=OK\n<<<\n\0";
        assert_eq!(encode(&list).expect("it fits"), framed(47, 0xabcd, body));
    }

    #[test]
    fn a_frame_is_taken_when_it_is_all_there() {
        let body = b">>>\nt=hbapi-req\n<<<\n\0";
        let length = i32::try_from(body.len()).expect("short");
        let whole = framed(length, MARK, body);
        for split in 0..whole.len() {
            let mut buffer = whole[..split].to_vec();
            assert_eq!(take(&mut buffer), Ok(None), "{split} bytes");
            assert_eq!(buffer.len(), split);
        }
        let mut two = [whole.clone(), whole].concat();
        for _ in 0..2 {
            let fields = take(&mut two).expect("valid").expect("complete");
            assert_eq!(fields.text("t"), Some("hbapi-req"));
        }
        assert!(two.is_empty());
    }

    #[test]
    fn broken_frames_are_refused_at_once() {
        let check = |mut bytes: Vec<u8>, expect: FrameError| {
            assert_eq!(take(&mut bytes), Err(expect), "{bytes:?}");
        };
        check(framed(10, 0xabce, b""), FrameError::Mark(0xabce));
        check(framed(0, MARK, b""), FrameError::Length(0));
        check(framed(-1, MARK, b""), FrameError::Length(-1));
        check(framed(i32::MAX, MARK, b""), FrameError::Length(i32::MAX));
        check(framed(8193, MARK, b""), FrameError::Length(8193));
        check(framed(4, MARK, b"none"), FrameError::Body(DecodeError::Start));
        check(framed(8, MARK, b">>>\nt=1\n"), FrameError::Body(DecodeError::End));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_answer_or_an_error(chunks in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..64), 0..32
        )) {
            let mut buffer = Vec::new();
            for chunk in chunks {
                let fits = chunk.len().min(room(&buffer));
                buffer.extend_from_slice(&chunk[..fits]);
                if take(&mut buffer).is_err() {
                    break;
                }
                prop_assert!(buffer.len() <= HEADER + BODY_MAX);
            }
        }

        #[test]
        fn what_is_encoded_is_taken(fields in prop::collection::vec(
            ("[a-z_]{1,12}", prop::collection::vec(any::<u8>().prop_filter("no NUL", |b| *b != 0 && *b != 0x13), 0..40)), 1..20
        )) {
            let mut list = FieldList::new();
            for (name, value) in fields.into_iter().filter(|(name, _)| name != "auth") {
                list.push_text(&name, value);
            }
            let mut bytes = encode(&list).expect("it fits");
            prop_assert_eq!(take(&mut bytes), Ok(Some(list)));
            prop_assert!(bytes.is_empty());
        }
    }
}
