#!/usr/bin/env python3
"""Removes each check of the PTX machine in turn, and fails unless a test of the machine notices.

    python3 .ci/machine_checks.py

The edits are made in a copy of the package in target/machine_checks, a workspace of its own. Without a check, the
machine accepts what the check was there to reject, so the test that expects its error must fail. Every kind of error
of the machine must be covered.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY = ROOT / "target/machine_checks"
PACKAGE = "dev/ptx-machine"
MACHINE = COPY / PACKAGE / "src"
TEST = ["cargo", "test", "--package", "ptx-machine"]
# Debug information is not needed, and linking is faster without it.
ENVIRONMENT = {**os.environ, "CARGO_TARGET_DIR": str(COPY / "target"), "CARGO_PROFILE_DEV_DEBUG": "0"}

# File → error, subject of the check, code of the check, replacement.
CHECKS = {
    "access.rs": [
        ("Misaligned", "loads of parameters", "aligned(space, address, bytes.len())?;", ""),
        ("OutOfBounds", "loads of parameters",
         "None => return Err(Fault::OutOfBounds { space, address, bytes: bytes.len() }),", "None => (),"),
    ],
    "global.rs": [
        ("OutOfBounds", "loads",
         "let (index, start) = self.find(address, bytes.len())?; let buffer = &self.buffers[index]; let writers",
         "let Ok((index, start)) = self.find(address, bytes.len()) else { return Ok(()) };"
         "let buffer = &self.buffers[index]; let writers"),
        ("OutOfBounds", "stores",
         "let (index, start) = self.find(address, bytes.len())?; let buffer = &self.buffers[index]; if",
         "let Ok((index, start)) = self.find(address, bytes.len()) else { return Ok(()) };"
         "let buffer = &self.buffers[index]; if"),
        ("OutOfBounds", "writes by the host",
         "let (index, start) = self.find(address, bytes.len())?; let buffer = &mut self.buffers[index];",
         "let Ok((index, start)) = self.find(address, bytes.len()) else { return Ok(()) };"
         "let buffer = &mut self.buffers[index];"),
        ("OutOfBounds", "what is freed", "self.buffers.remove(index.map_err(|_| outside)?);",
         "index.map(|index| self.buffers.remove(index)).ok();"),
        ("Misaligned", "loads",
         "aligned(MemorySpace::Global, address, bytes.len())?; self.load_part", "self.load_part"),
        ("Misaligned", "stores", "aligned(MemorySpace::Global, address, bytes.len())?; let (index", "let (index"),
        ("Uninitialized", "global memory", "if writer == NOBODY", "if false"),
        ("BlockRace", "loads", "if writer >= FIRST_BLOCK && writer != reader", "if false"),
        ("BlockRace", "stores", "if earlier >= FIRST_BLOCK && earlier != FIRST_BLOCK + block", "if false"),
    ],
    "shared.rs": [
        ("OutOfBounds", "shared memory", "_ => Err(Fault::OutOfBounds { space, address, bytes }),", "_ => Ok(0),"),
        ("Misaligned", "shared memory", "aligned(space, address, bytes)?;", ""),
        ("Uninitialized", "shared memory",
         "return Err(Fault::Uninitialized { space: MemorySpace::Shared, address });", ""),
        ("CopyInFlight", "loads", "return Err(Fault::CopyInFlight { address, now: Use::Read }),", "(),"),
        ("CopyInFlight", "stores", "if self.state == State::Pending", "if false"),
        ("Race", "loads after stores", "self.after_write(user, epoch, address, Use::Read)?;", ""),
        ("Race", "stores after stores", "self.after_write(user, epoch, address, Use::Written)?;", ""),
        ("Race", "stores after loads", "if !reads_are_before", "if false"),
        ("Race", "stores after loads by a whole warp",
         "Readers::OneWarp => {", "Readers::OneWarp if true => true, _ => {"),
        ("Race", "stores after loads by several warps", "Readers::Many => false,", "Readers::Many => true,"),
        ("Race", "lanes of a warp", "self.warp() == other.warp() && self.warp_epoch < other.warp_epoch",
         "self.warp() == other.warp()"),
        ("Race", "warps after a warp's barrier", "self.warp() == other.warp() && self.warp_epoch < other.warp_epoch",
         "self.warp_epoch < other.warp_epoch"),
        ("Race", "loads after other threads' copies",
         "shadow.state = State::Written; (shadow.write_epoch, shadow.writer) = (self.epoch, user);",
         "shadow.state = State::Written;"),
    ],
    "copies.rs": [
        ("CopySize", "copies",
         "let len = lens[lane] as u32 as usize;", "let len = (lens[lane] as u32 as usize).min(bytes);"),
        ("Misaligned", "sources of copies", "aligned(MemorySpace::Global, source, bytes)?;", ""),
        ("OutOfBounds", "sources of copies", "around.memory.load_part(block, source, &mut copy.bytes[..len])?;",
         "around.memory.load_part(block, source, &mut copy.bytes[..len]).ok();"),
        ("CopyInFlight", "destinations of copies",
         "around.shared.begin_copy(self.user(lane), destination, bytes)?;",
         "around.shared.begin_copy(self.user(lane), destination, bytes).ok();"),
        ("CopiesLeft", "copies in no group", "!self.open.is_empty() ||", ""),
        ("CopiesLeft", "copies in groups", "|| self.groups.iter().any(|group| !group.is_empty())", ""),
    ],
    "warp.rs": [
        ("DivergentBarrier", "barriers", "if active != alive", "if false"),
        ("Mask", "a warp's barrier", "if active & !mask != 0", "if false"),
        ("Mask", "masks of different lanes",
         "Some(lane) => Err(Fault::Mask { mask: masks[lane] as u32, active }),", "Some(_) => Ok(first),"),
        ("Mask", "masks and active lanes", "mask => Err(Fault::Mask { mask, active }),", "_ => Ok(()),"),
        ("Mask", "votes", "self.check_mask(*mask, active, around)?; let values = self.values(*source, around).map",
         "let values = self.values(*source, around).map"),
        ("Mask", "reductions", "self.check_mask(*mask, active, around)?; let values = self.values(*source, around);",
         "let values = self.values(*source, around);"),
        ("PartialWarp", "ldmatrix", "whole_warp(active)?; self.load_matrices", "self.load_matrices"),
        ("PartialWarp", "mma", "whole_warp(active)?; around.counts.mma", "around.counts.mma"),
        ("Deadlock", "warps", "waiting => Err(Fault::Deadlock { waiting }.into()),", "_ => Ok(Pause::End),"),
        ("Endless", "warps", "return Err(Fault::Endless(MOST_INSTRUCTIONS).into());", "return Ok(Pause::End);"),
        ("NoExit", "warps", "let instruction = kernel.instructions.get(next).ok_or(Fault::NoExit)?;",
         "let Some(instruction) = kernel.instructions.get(next) else { return Ok(Pause::End) };"),
    ],
    "exchange.rs": [
        ("Mask", "shuffles", "self.check_mask(shuffle.mask, active, around)?;", ""),
        ("InactiveLane", "shuffles", "if active >> read & 1 == 0", "if false"),
    ],
    "arithmetic.rs": [
        ("DivisionByZero", "quotients", "a / nonzero(b)?", "if b == 0 { 0 } else { a / nonzero(b)? }"),
        ("DivisionByZero", "remainders", "a % nonzero(b)?", "if b == 0 { 0 } else { a % nonzero(b)? }"),
    ],
    "launch.rs": [
        ("CopiesLeft", "launches", "return Err((index, Fault::CopiesLeft.in_lane(lane)));", "drop((index, lane));"),
        ("Unknown", "kernels", "self.kernels.get(launch.kernel).ok_or",
         "self.kernels.get(launch.kernel).or(self.kernels.values().next()).ok_or"),
        ("ArgumentCount", "arguments", "if given != wanted", "if false"),
        ("ArgumentSize", "values of few bytes", "if high.iter().any(|&byte| byte != 0)", "if false"),
        ("ArgumentSize", "values of many bytes", "bytes.split_at_checked(wanted).ok_or(misfit.clone())?",
         "bytes.split_at_checked(wanted).unwrap_or((&bytes, &[]))"),
        ("ArgumentSize", "bytes", "Argument::Bytes(_) => return Err(misfit),", "Argument::Bytes(_) => (),"),
        ("Threads", "no threads", "given == 0 ||", ""),
        ("Threads", "many threads", "|| given > most", ""),
        ("SharedBytes", "launches", "if given > MOST_SHARED_BYTES", "if false"),
        ("Grid", "no blocks", "blocks > 0 &&", ""),
        ("Grid", "many blocks", "blocks.filter(|&blocks| blocks > 0 && blocks < u32::MAX / 2)",
         "blocks.or(Some(1)).filter(|&blocks| blocks > 0).map(|blocks| blocks % (u32::MAX / 2))"),
    ],
    "ptx.rs": [
        ("Directive", "types of registers",
         "if of != \".f64\" && of.strip_prefix('.').and_then(Type::parse).is_none()", "if false"),
        ("Directive", "a module's", "_ => return Err(in_line(Defect::Directive(statement.clone()))),", "_ => (),"),
        ("Directive", "linkage", 'if !["", ".visible", ".weak"].contains(&linkage.trim())', "if false"),
        ("Directive", "parameters",
         ".ok_or_else(|| Defect::Directive(parameter.to_owned()))?", ".unwrap_or(parameter)"),
        ("Directive", "a kernel's", '_ => return Err(Defect::Directive(format!(".{directive}"))),', "_ => (),"),
        ("Directive", "a scope's", "_ => Err(Defect::Directive(text.to_owned())),", "_ => Ok(()),"),
        ("Twice", "registers", "if !is_identifier(&name) || scope.contains_key(&name)", "if !is_identifier(&name)"),
        ("Twice", "symbols", "Some(_) => Err(Defect::Twice(name.to_owned())),", "Some(_) => Ok(()),"),
        ("Twice", "labels", "Some(_) => Err(Defect::Twice(label.clone())),", "Some(_) => Ok(()),"),
        ("Twice", "kernels",
         "return Err(Error::Text { line, defect: Defect::Twice(twice.name) });", "drop((line, twice));"),
    ],
    "text.rs": [
        ("Syntax", "unfinished texts", "if unfinished", "if false"),
        ("Syntax", "braces", 'return Err(self.error("unmatched closing brace"));', ""),
    ],
    "decode/mod.rs": [
        ("Modifier", "all instructions", "modifiers.finish()?;", ""),
        ("Modifier", "mma",
         "return Err(Defect::Modifier { instruction, modifier });", "drop((instruction, modifier)); Shape::F16"),
        ("Operands", "all instructions", "operands.finish()?;", ""),
        ("Operand", "guards",
         "names.register(name).ok_or_else(wanted)?", "names.register(name).or(Some(0)).ok_or_else(wanted)?"),
        ("Operand", "numbers of barriers",
         'other => Err(Defect::Operand { operand: other.to_string(), wanted: "barrier 0" }),',
         "_ => Ok(Operation::Barrier),"),
        ("Operand", "bytes of copies", "if !widths.contains(&bytes)", "if false"),
        ("Type", "loads and stores",
         "if of == Type::PREDICATE || of.kind == Kind::FloatPair || count.unwrap_or(1) * of.bytes() > 16", "if false"),
        ("Type", "reductions", "if !fits || of.bits != 32", "if false"),
        ("Lacks", "stores to parameters", "if space == Space::Parameters", "if false"),
    ],
    "decode/operands.rs": [
        ("Lacks", "modifiers", "self.one_of(choices).ok_or_else(|| self.lacks(what))",
         "self.one_of(choices).or(Some(choices[0].1)).ok_or_else(|| self.lacks(what))"),
        ("Lacks", "types", "of.ok_or_else(", "of.or(Some(Type::F32)).ok_or_else("),
        ("Operand", "vectors", "if elements.len() == count", "if true"),
        ("Operand", "labels", "label.ok_or_else(", "label.or(Some(0)).ok_or_else("),
        ("Operand", "registers", "register.ok_or_else(", "register.or(Some(0)).ok_or_else("),
        ("Operand", "constants", "constant(text).ok_or_else(", "constant(text).or(Some(0)).ok_or_else("),
        ("Operand", "values", ".or_else(|| constant(text).map(Source::Constant))", ".or(Some(Source::Constant(0)))"),
        ("Operand", "addresses", "text.ok_or_else(wanted)?", 'text.unwrap_or("0")'),
        ("Syntax", "missing operands", 'self.left.next().ok_or(Defect::Syntax("missing operand"))',
         'Ok(self.left.next().unwrap_or("0"))'),
    ],
    "decode/scalar.rs": [
        ("Instruction", "all instructions", "meaning.ok_or_else(|| Defect::Instruction(opcode.to_owned()))?",
         "meaning.unwrap_or(&MEANINGS[0])"),
        ("Type", "parts of registers", "_ => Err(modifiers.bad_type(of)), }; if operands.next_is_vector()",
         "_ => Ok(of), }; if operands.next_is_vector()"),
        ("Type", "dp4a", "if !of.is_integer() || of.bits != 32", "if false"),
        ("Type", "integers", "if !takes(function, of)", "if false"),
        ("Type", "floats",
         "_ => Err(modifiers.bad_type(of)), } } fn comparison", "_ => Ok(Format::F16), } } fn comparison"),
        ("Type", "comparisons", "Kind::Predicate | Kind::FloatPair => return Err(modifiers.bad_type(of)),",
         "Kind::Predicate | Kind::FloatPair => (),"),
        ("Type", "conversions",
         "if !is_number(from) || !(is_number(to) || to == Type::F16X2 && from == Type::F32)", "if false"),
        ("Lacks", "conversions", "if from.is_float() && !to.is_float() && rounding.is_none()", "if false"),
    ],
}


def errors():
    """Returns the names of all errors: of PTX texts, launches and kernels."""
    text = (MACHINE / "error.rs").read_text()
    bodies = re.findall(r"pub enum (?:Defect|LaunchDefect|Fault) \{\n(.*?)\n\}", text, flags=re.DOTALL)
    return {name for body in bodies for name in re.findall(r"^    ([A-Z]\w*)", body, flags=re.MULTILINE)}


def without(text, old, new):
    """Replaces a part that occurs exactly once, regardless of line breaks."""
    pattern = r"\s+".join(map(re.escape, old.split()))
    edited, count = re.subn(pattern, lambda _: new, text)
    if count != 1:
        sys.exit(f"expected once in the machine, found {count} times: {old}")
    return edited


def failed_tests():
    """Runs the tests and returns the names of those that fail."""
    result = subprocess.run(TEST, cwd=COPY, env=ENVIRONMENT, capture_output=True, text=True)
    failed = re.findall(r"^test (\S+) \.\.\. FAILED$", result.stdout, flags=re.MULTILINE)
    if (result.returncode == 0) != (not failed):
        sys.exit(f"{result.stderr}\nthe tests could not be run")
    return failed


def copy_package():
    """Updates the copy of the package."""
    shutil.rmtree(COPY / PACKAGE, ignore_errors=True)
    shutil.copytree(ROOT / PACKAGE, COPY / PACKAGE)
    shutil.copy2(ROOT / "Cargo.lock", COPY / "Cargo.lock")
    # The workspace's tables come before the library's.
    workspace = (ROOT / "Cargo.toml").read_text().partition("[package]")[0]
    workspace = re.sub("^default-members = .*\n", "", workspace, flags=re.MULTILINE)
    workspace = re.sub("^members = .*$", f'members = ["{PACKAGE}"]', workspace, flags=re.MULTILINE)
    (COPY / "Cargo.toml").write_text(workspace)
    # Cargo compares modification times, and the last build was of an edited machine.
    (MACHINE / "lib.rs").touch()


def main():
    copy_package()
    forgotten = errors() - {error for checks in CHECKS.values() for error, *_ in checks}
    if forgotten:
        sys.exit(f"no check is removed for {', '.join(sorted(forgotten))}")
    if failed := failed_tests():
        sys.exit(f"with all checks in place, these fail: {', '.join(failed)}")
    unnoticed = []
    for file, checks in CHECKS.items():
        path = MACHINE / file
        text = path.read_text()
        for error, what, old, new in checks:
            path.write_text(without(text, old, new))
            failed = failed_tests()
            check = f"{error}, {what} ({file})"
            print(f"{check}: {failed[0].removeprefix('tests::') if failed else 'NOT NOTICED'}", flush=True)
            if not failed:
                unnoticed.append(check)
        path.write_text(text)
    if unnoticed:
        sys.exit(f"no test notices the removal of {'; '.join(unnoticed)}")
    print(f"{sum(map(len, CHECKS.values()))} checks: a test notices the removal of each one")


if __name__ == "__main__":
    main()
