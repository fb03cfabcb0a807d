//! AMX in software: a handler of the signal for illegal instructions, which computes those of AMX and continues after
//! them. It is written from Intel's manual, and refuses what the manual forbids.

use std::cell::UnsafeCell;
use std::mem::zeroed;
use std::sync::{Mutex, PoisonError};

use half::bf16;
use libc::{c_int, c_void, siginfo_t, ucontext_t};

use super::super::super::amx::may_use_bf16;
use crate::cpu::simd::bfloat::widen;

const TILES: usize = 8;
const ROWS: usize = 16;
const ROW_BYTES: usize = 64;

/// The tile registers and their shapes.
struct State {
    rows: [usize; TILES],
    row_bytes: [usize; TILES],
    tiles: [[[u8; ROW_BYTES]; ROWS]; TILES],
}

/// State that only the thread that holds the lock uses.
struct Shared(UnsafeCell<State>);

// SAFETY: `with_amx` lets one thread at a time execute the instructions whose handler uses the state.
unsafe impl Sync for Shared {}

static STATE: Shared = Shared(UnsafeCell::new(State {
    rows: [0; TILES],
    row_bytes: [0; TILES],
    tiles: [[[0; ROW_BYTES]; ROWS]; TILES],
}));
static LOCK: Mutex<()> = Mutex::new(());

/// Calls a function that may use AMX, on this thread.
pub(super) fn with_amx(work: impl FnOnce()) {
    if may_use_bf16() {
        return work();
    }
    println!("this machine lacks AMX: its instructions are computed in software");
    let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: all bits zero are a valid action; the handler has the signature that `SA_SIGINFO` asks for, and uses no
    // locks and no memory but the state's and that of the instruction's operands.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_illegal_instruction;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO;
        let mut previous: libc::sigaction = zeroed();
        assert_eq!(libc::sigaction(libc::SIGILL, &raw const action, &raw mut previous), 0);
        work();
        assert_eq!(libc::sigaction(libc::SIGILL, &raw const previous, std::ptr::null_mut()), 0);
    }
}

extern "C" fn on_illegal_instruction(_: c_int, _: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes the context of the interrupted thread, which holds the lock.
    let (context, state) = unsafe { (&mut *context.cast::<ucontext_t>(), &mut *STATE.0.get()) };
    let registers = &mut context.uc_mcontext.gregs;
    let start = registers[libc::REG_RIP as usize];
    // SAFETY: the instruction is at the thread's instruction pointer, and AMX's take at most ten bytes, after which
    // the function goes on.
    let code: [u8; 10] =
        unsafe { std::ptr::with_exposed_provenance::<[u8; 10]>(start as usize).read() };
    match execute(state, &code, registers) {
        Some(length) => registers[libc::REG_RIP as usize] = start + length as i64,
        // SAFETY: ends the process, which has met an illegal instruction that is not AMX's.
        None => unsafe { libc::abort() },
    }
}

/// Returns the value of a general register by its number in instructions.
fn register(registers: &[i64], number: u8) -> usize {
    use libc::{REG_RAX, REG_RBP, REG_RBX, REG_RCX, REG_RDI, REG_RDX, REG_RSI, REG_RSP};
    const LOWER: [c_int; 8] =
        [REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI];
    let number = usize::from(number);
    let index = if number < 8 { LOWER[number] } else { libc::REG_R8 + number as c_int - 8 };
    registers[index as usize] as usize
}

/// Memory operand: the address without the index, the index times its scale, and the number of bytes from the byte
/// `ModRM` on.
struct Address {
    start: usize,
    stride: usize,
    length: usize,
}

/// Decodes a memory operand from `ModRM` on. `index_bit` and `base_bit` extend the registers' numbers.
fn address(code: &[u8], registers: &[i64], index_bit: u8, base_bit: u8) -> Option<Address> {
    let (mode, low) = (code[0] >> 6, code[0] & 7);
    let (base, stride, mut length) = if low == 4 {
        let (scale, index, base) = (code[1] >> 6, code[1] >> 3 & 7 | index_bit, code[1] & 7);
        let index = if index == 4 { 0 } else { register(registers, index) };
        // A base of 5 without a displacement means another form.
        (!(mode == 0 && base == 5)).then_some(())?;
        (base, index << scale, 2)
    } else {
        (!(mode == 0 && low == 5)).then_some(())?;
        (low, 0, 1)
    };
    let displacement = match mode {
        0 => 0,
        1 => i32::from(code[length] as i8),
        2 => i32::from_le_bytes(code[length..length + 4].try_into().ok()?),
        _ => return None,
    };
    length += [0, 1, 4][usize::from(mode)];
    let start = register(registers, base | base_bit).wrapping_add_signed(displacement as isize);
    Some(Address { start, stride, length })
}

/// Executes an instruction and returns its length, or `None` if it is not one of AMX's, or is used incorrectly.
fn execute(state: &mut State, code: &[u8; 10], registers: &[i64]) -> Option<usize> {
    // The three bytes of the prefix VEX, map 0F38, 128 bits.
    (code[0] == 0xC4 && code[1] & 0x1F == 2 && code[2] & 0x84 == 0).then_some(())?;
    let (index_bit, base_bit) = ((!code[1] >> 6 & 1) << 3, (!code[1] >> 5 & 1) << 3);
    let (third, prefix) = (usize::from(!code[2] >> 3 & 15), code[2] & 3);
    let (opcode, modrm) = (code[3], code[4]);
    let (destination, second) = (usize::from(modrm >> 3 & 7), usize::from(modrm & 7));
    let memory = || address(&code[4..], registers, index_bit, base_bit);
    match (opcode, prefix) {
        (0x49, 0) if modrm == 0xC0 => {
            (state.rows, state.row_bytes) = ([0; TILES], [0; TILES]);
            Some(5)
        }
        (0x49, 0) if modrm >> 3 & 7 == 0 => {
            let Address { start, length, .. } = memory()?;
            // SAFETY: the operand of the instruction is 64 bytes.
            let config = unsafe { std::ptr::with_exposed_provenance::<[u8; 64]>(start).read() };
            configure(state, &config)?;
            Some(4 + length)
        }
        (0x4B, 3 | 2) => {
            let Address { start, stride, length } = memory()?;
            let (rows, bytes) = (state.rows[destination], state.row_bytes[destination]);
            (rows > 0).then_some(())?;
            for (row, values) in state.tiles[destination].iter_mut().enumerate().take(rows) {
                let address = start.wrapping_add(row * stride);
                // SAFETY: the operands of the instruction are `bytes` bytes for each row.
                unsafe {
                    if prefix == 3 {
                        let from = std::ptr::with_exposed_provenance::<u8>(address);
                        *values = [0; ROW_BYTES];
                        from.copy_to(values.as_mut_ptr(), bytes);
                    } else {
                        let to = std::ptr::with_exposed_provenance_mut::<u8>(address);
                        to.copy_from(values.as_ptr(), bytes);
                    }
                }
            }
            Some(4 + length)
        }
        (0x5E, 1) => multiply(state, [destination, second, third], add_bytes),
        (0x5C, 2) => multiply(state, [destination, second, third], add_bf16),
        _ => None,
    }
}

/// Takes the operand of `ldtilecfg`.
fn configure(state: &mut State, config: &[u8; 64]) -> Option<()> {
    (config[0] == 1 && config[1..16].iter().all(|&byte| byte == 0)).then_some(())?;
    for tile in 0..TILES {
        let bytes = u16::from_le_bytes([config[16 + 2 * tile], config[17 + 2 * tile]]);
        let (rows, bytes) = (usize::from(config[48 + tile]), usize::from(bytes));
        (rows <= ROWS && bytes <= ROW_BYTES && (rows == 0) == (bytes == 0)).then_some(())?;
        (state.rows[tile], state.row_bytes[tile]) = (rows, bytes);
    }
    state.tiles = [[[0; ROW_BYTES]; ROWS]; TILES];
    Some(())
}

/// Groups of a row of the left tile, and those of a column of the right tile in the same order, added to a sum.
type Add = fn(u32, &mut dyn Iterator<Item = ([u8; 4], [u8; 4])>) -> u32;

fn multiply(state: &mut State, [to, left, right]: [usize; 3], add: Add) -> Option<usize> {
    let groups = state.row_bytes[left] / 4;
    let fits = state.rows[to] == state.rows[left]
        && state.row_bytes[to] == state.row_bytes[right]
        && state.rows[right] == groups;
    (fits && groups > 0 && to != left && to != right && left != right).then_some(())?;
    let group = |tile: &[[u8; ROW_BYTES]; ROWS], row: usize, at: usize| -> [u8; 4] {
        std::array::from_fn(|byte| tile[row][4 * at + byte])
    };
    for row in 0..state.rows[to] {
        for column in 0..state.row_bytes[to] / 4 {
            let (a, b) = (&state.tiles[left], &state.tiles[right]);
            let mut pairs = (0..groups).map(|k| (group(a, row, k), group(b, k, column)));
            let sum = u32::from_le_bytes(group(&state.tiles[to], row, column));
            let sum = add(sum, &mut pairs).to_le_bytes();
            state.tiles[to][row][4 * column..][..4].copy_from_slice(&sum);
        }
    }
    Some(5)
}

fn add_bytes(sum: u32, pairs: &mut dyn Iterator<Item = ([u8; 4], [u8; 4])>) -> u32 {
    let product = |(a, b): (u8, u8)| i32::from(a) * i32::from(b as i8);
    let products = pairs.flat_map(|(a, b)| std::iter::zip(a, b)).map(product);
    products.fold(sum as i32, i32::wrapping_add) as u32
}

fn add_bf16(sum: u32, pairs: &mut dyn Iterator<Item = ([u8; 4], [u8; 4])>) -> u32 {
    let value = |low: u8, high: u8| widen(bf16::from_le_bytes([low, high]));
    let mut sums = [0f32; 2];
    for (a, b) in pairs {
        sums[0] += value(a[0], a[1]) * value(b[0], b[1]);
        sums[1] += value(a[2], a[3]) * value(b[2], b[3]);
    }
    (f32::from_bits(sum) + (sums[0] + sums[1])).to_bits()
}
