//! The driver's error codes.

use std::ffi::CStr;

use crate::log;

macro_rules! errors {
    ($($error:ident = $code:literal, $name:literal, $text:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Error { $($error = $code,)* }

        /// Returns the name and the description of an error code that the stand-in has.
        pub fn describe(code: u32) -> Option<(&'static CStr, &'static CStr)> {
            match code {
                0 => Some((c"CUDA_SUCCESS", c"no error")),
                $($code => Some(($name, $text)),)*
                _ => None,
            }
        }
    };
}

errors! {
    InvalidValue = 1, c"CUDA_ERROR_INVALID_VALUE", c"invalid argument";
    OutOfMemory = 2, c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory";
    NotInitialized = 3, c"CUDA_ERROR_NOT_INITIALIZED", c"initialization error";
    NoDevice = 100, c"CUDA_ERROR_NO_DEVICE", c"no CUDA-capable device is detected";
    InvalidDevice = 101, c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal";
    InvalidContext = 201, c"CUDA_ERROR_INVALID_CONTEXT", c"invalid device context";
    InvalidPtx = 218, c"CUDA_ERROR_INVALID_PTX", c"a PTX JIT compilation failed";
    UnsupportedPtxVersion = 222, c"CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        c"the provided PTX was compiled with an unsupported toolchain.";
    InvalidHandle = 400, c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle";
    IllegalState = 401, c"CUDA_ERROR_ILLEGAL_STATE",
        c"the operation cannot be performed in the present state";
    NotFound = 500, c"CUDA_ERROR_NOT_FOUND", c"named symbol not found";
    NotReady = 600, c"CUDA_ERROR_NOT_READY", c"device not ready";
    IllegalAddress = 700, c"CUDA_ERROR_ILLEGAL_ADDRESS",
        c"an illegal memory access was encountered";
    MisalignedAddress = 716, c"CUDA_ERROR_MISALIGNED_ADDRESS", c"misaligned address";
    LaunchFailed = 719, c"CUDA_ERROR_LAUNCH_FAILED", c"unspecified launch failure";
    NotSupported = 801, c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported";
    CaptureUnsupported = 900, c"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
        c"operation not permitted when stream is capturing";
    CaptureInvalidated = 901, c"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
        c"operation failed due to a previous error during capture";
    CaptureIsolation = 905, c"CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
        c"dependency created on uncaptured work in another stream";
    CapturedEvent = 907, c"CUDA_ERROR_CAPTURED_EVENT",
        c"operation not permitted on an event last recorded in a capturing stream";
    CaptureWrongThread = 908, c"CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
        c"attempt to terminate a thread-local capture sequence from another thread";
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Returns this error after writing the reason to standard error and the log, since the code alone says little.
    pub fn because(self, reason: impl std::fmt::Display) -> Self {
        eprintln!("stand-in driver: {reason}");
        log::line(format_args!("error: {reason}"));
        self
    }
}

impl From<ptx_machine::Error> for Error {
    fn from(error: ptx_machine::Error) -> Self {
        let code = match &error {
            ptx_machine::Error::Text { .. } => Self::InvalidPtx,
            ptx_machine::Error::Launch { .. } => Self::InvalidValue,
            ptx_machine::Error::Fault { fault, .. } => code(fault),
        };
        code.because(error)
    }
}

/// Converts the fault of a copy, which has no position in a kernel.
impl From<ptx_machine::Fault> for Error {
    fn from(fault: ptx_machine::Fault) -> Self {
        code(&fault).because(fault)
    }
}

fn code(fault: &ptx_machine::Fault) -> Error {
    match fault {
        ptx_machine::Fault::OutOfBounds { .. } => Error::IllegalAddress,
        ptx_machine::Fault::Misaligned { .. } => Error::MisalignedAddress,
        _ => Error::LaunchFailed,
    }
}
