//! Decoding of a statement into an instruction. Every modifier and every operand must be known.

pub mod operands;
mod scalar;

use operands::{Modifiers, Operands};

use super::error::Defect;
use super::instruction::{
    Guard, MultiplyMatrices, Operation, Reduction, Shape, Shuffle, ShuffleMode, Space, Vote,
};
use super::ptx::Names;
use super::types::{Kind, Type};

/// Decodes a statement.
pub fn decode(statement: &str, names: &Names) -> Result<(Option<Guard>, Operation), Defect> {
    let (guard, rest) = guard(statement, names)?;
    let (name, operands) = rest.split_once(' ').unwrap_or((rest, ""));
    let (opcode, mut modifiers) = Modifiers::new(name);
    let mut operands = Operands::new(operands, names);
    let operation = operation(opcode, &mut modifiers, &mut operands)?;
    modifiers.finish()?;
    operands.finish()?;
    Ok((guard, operation))
}

fn guard<'a>(statement: &'a str, names: &Names) -> Result<(Option<Guard>, &'a str), Defect> {
    let Some(guarded) = statement.strip_prefix('@') else { return Ok((None, statement)) };
    let (name, rest) = guarded.split_once(' ').ok_or(Defect::Syntax("expected an instruction"))?;
    let (is_negated, name) = match name.strip_prefix('!') {
        Some(name) => (true, name),
        None => (false, name),
    };
    let wanted = || Defect::Operand { operand: name.to_owned(), wanted: "a predicate" };
    let predicate = names.register(name).ok_or_else(wanted)?;
    Ok((Some(Guard { predicate, is_negated }), rest.trim_start()))
}

fn operation(
    opcode: &str,
    modifiers: &mut Modifiers,
    operands: &mut Operands,
) -> Result<Operation, Defect> {
    Ok(match opcode {
        "mov" => scalar::moving(modifiers, operands)?,
        "ld" | "st" => memory(opcode, modifiers, operands)?,
        "bra" => {
            modifiers.take("uni");
            Operation::Branch(operands.label()?)
        }
        "ret" => {
            modifiers.take("uni");
            Operation::Exit
        }
        "exit" => Operation::Exit,
        "bar" | "barrier" => barrier(modifiers, operands)?,
        "membar" => {
            modifiers.need(&[("cta", ()), ("gl", ()), ("sys", ())], "a level")?;
            Operation::Fence
        }
        "fence" => {
            modifiers.one_of(&[("sc", ()), ("acq_rel", ())]);
            modifiers.need(&[("cta", ()), ("gpu", ()), ("sys", ())], "a scope")?;
            Operation::Fence
        }
        "shfl" => shuffle(modifiers, operands)?,
        "vote" => vote(modifiers, operands)?,
        "redux" => reduction(modifiers, operands)?,
        "activemask" => {
            modifiers.need(&[("b32", ())], "`.b32`")?;
            Operation::ActiveMask(operands.register()?)
        }
        "ldmatrix" => load_matrices(modifiers, operands)?,
        "mma" => multiply_matrices(modifiers, operands)?,
        "cp" => copy(modifiers, operands)?,
        _ => scalar::scalar(opcode, modifiers, operands)?,
    })
}

fn memory(
    opcode: &str,
    modifiers: &mut Modifiers,
    operands: &mut Operands,
) -> Result<Operation, Defect> {
    let spaces = [
        ("global", Space::Global),
        ("shared", Space::Shared),
        ("shared::cta", Space::Shared),
        ("param", Space::Parameters),
    ];
    let space = modifiers.need(&spaces, "a state space")?;
    let is_load = opcode == "ld";
    modifiers.one_of(if is_load {
        &[("ca", ()), ("cg", ()), ("cs", ()), ("lu", ()), ("cv", ())]
    } else {
        &[("wb", ()), ("cg", ()), ("cs", ()), ("wt", ())]
    });
    if is_load && space == Space::Global {
        modifiers.take("nc");
    }
    modifiers.take_hints();
    let count = modifiers.one_of(&[("v2", 2), ("v4", 4)]);
    let of = modifiers.data_type()?;
    if of == Type::PREDICATE || of.kind == Kind::FloatPair || count.unwrap_or(1) * of.bytes() > 16 {
        return Err(modifiers.bad_type(of));
    }
    if is_load {
        let destinations = match count {
            Some(count) => operands.registers(count)?,
            None => vec![operands.register()?],
        };
        return Ok(Operation::Load { space, of, destinations, address: operands.address()? });
    }
    if space == Space::Parameters {
        return Err(modifiers.lacks("a state space that can be written"));
    }
    let address = operands.address()?;
    let sources = match count {
        Some(count) => operands.sources(count)?,
        None => vec![operands.source()?],
    };
    Ok(Operation::Store { space, of, sources, address })
}

fn barrier(modifiers: &mut Modifiers, operands: &mut Operands) -> Result<Operation, Defect> {
    if modifiers.take("warp") {
        modifiers.need(&[("sync", ())], "`.sync`")?;
        return Ok(Operation::WarpBarrier(operands.source()?));
    }
    modifiers.take("cta");
    modifiers.need(&[("sync", ())], "`.sync`")?;
    modifiers.take("aligned");
    match operands.constant()? {
        0 => Ok(Operation::Barrier),
        other => Err(Defect::Operand { operand: other.to_string(), wanted: "barrier 0" }),
    }
}

fn shuffle(modifiers: &mut Modifiers, operands: &mut Operands) -> Result<Operation, Defect> {
    modifiers.need(&[("sync", ())], "`.sync`")?;
    let modes = [
        ("up", ShuffleMode::Up),
        ("down", ShuffleMode::Down),
        ("bfly", ShuffleMode::Butterfly),
        ("idx", ShuffleMode::Index),
    ];
    let mode = modifiers.need(&modes, "a mode")?;
    modifiers.need(&[("b32", ())], "`.b32`")?;
    let (destination, in_segment) = operands.register_pair()?;
    Ok(Operation::Shuffle(Shuffle {
        mode,
        destination,
        in_segment,
        source: operands.source()?,
        lane: operands.source()?,
        clamp: operands.source()?,
        mask: operands.source()?,
    }))
}

fn vote(modifiers: &mut Modifiers, operands: &mut Operands) -> Result<Operation, Defect> {
    modifiers.need(&[("sync", ())], "`.sync`")?;
    let votes =
        [("all", Vote::All), ("any", Vote::Any), ("uni", Vote::Uniform), ("ballot", Vote::Ballot)];
    let vote = modifiers.need(&votes, "a kind of vote")?;
    let result = if vote == Vote::Ballot { "b32" } else { "pred" };
    modifiers.need(&[(result, ())], "the type of its result")?;
    let destination = operands.register()?;
    let (source, is_negated) = operands.predicate()?;
    Ok(Operation::Vote { vote, destination, source, is_negated, mask: operands.source()? })
}

fn reduction(modifiers: &mut Modifiers, operands: &mut Operands) -> Result<Operation, Defect> {
    modifiers.need(&[("sync", ())], "`.sync`")?;
    let reductions = [
        ("add", Reduction::Add),
        ("min", Reduction::Minimum),
        ("max", Reduction::Maximum),
        ("and", Reduction::And),
        ("or", Reduction::Or),
        ("xor", Reduction::Xor),
    ];
    let reduction = modifiers.need(&reductions, "a function")?;
    let of = modifiers.data_type()?;
    let is_logic = matches!(reduction, Reduction::And | Reduction::Or | Reduction::Xor);
    let fits = if is_logic { of.kind == Kind::Bits } else { of.is_integer() };
    if !fits || of.bits != 32 {
        return Err(modifiers.bad_type(of));
    }
    Ok(Operation::Reduce {
        reduction,
        of,
        destination: operands.register()?,
        source: operands.source()?,
        mask: operands.source()?,
    })
}

fn load_matrices(modifiers: &mut Modifiers, operands: &mut Operands) -> Result<Operation, Defect> {
    for (modifier, what) in
        [("sync", "`.sync`"), ("aligned", "`.aligned`"), ("m8n8", "the shape `.m8n8`")]
    {
        modifiers.need(&[(modifier, ())], what)?;
    }
    let count = modifiers.need(&[("x1", 1), ("x2", 2), ("x4", 4)], "a number of matrices")?;
    let is_transposed = modifiers.take("trans");
    modifiers.need(&[("shared", ()), ("shared::cta", ())], "`.shared`")?;
    modifiers.need(&[("b16", ())], "`.b16`")?;
    let destinations = operands.registers(count)?;
    Ok(Operation::LoadMatrices { destinations, is_transposed, address: operands.address()? })
}

fn multiply_matrices(
    modifiers: &mut Modifiers,
    operands: &mut Operands,
) -> Result<Operation, Defect> {
    let shape = match modifiers.take_all().as_slice() {
        ["sync", "aligned", "m16n8k16", "row", "col", "f32", "f16", "f16", "f32"] => Shape::F16,
        [
            "sync",
            "aligned",
            "m16n8k32",
            "row",
            "col",
            "s32",
            a @ ("s8" | "u8"),
            b @ ("s8" | "u8"),
            "s32",
        ] => Shape::Int8 { a_is_signed: *a == "s8", b_is_signed: *b == "s8" },
        other => {
            let (instruction, modifier) = ("mma".to_owned(), other.join("."));
            return Err(Defect::Modifier { instruction, modifier });
        }
    };
    let fits = "as many elements have been counted";
    Ok(Operation::MultiplyMatrices(MultiplyMatrices {
        shape,
        d: operands.registers(4)?.try_into().expect(fits),
        a: operands.sources(4)?.try_into().expect(fits),
        b: operands.sources(2)?.try_into().expect(fits),
        c: operands.sources(4)?.try_into().expect(fits),
    }))
}

fn copy(modifiers: &mut Modifiers, operands: &mut Operands) -> Result<Operation, Defect> {
    modifiers.need(&[("async", ())], "`.async`")?;
    if modifiers.take("commit_group") {
        return Ok(Operation::CommitGroup);
    }
    if modifiers.take("wait_group") {
        return Ok(Operation::WaitGroup(operands.constant()? as usize));
    }
    if modifiers.take("wait_all") {
        return Ok(Operation::WaitAll);
    }
    let operators: [(&str, &[usize]); 2] = [("ca", &[4, 8, 16]), ("cg", &[16])];
    let widths = modifiers.need(&operators, "a cache operator")?;
    modifiers.need(&[("shared", ()), ("shared::cta", ())], "`.shared`")?;
    modifiers.need(&[("global", ())], "`.global`")?;
    modifiers.take_hints();
    let (destination, source) = (operands.address()?, operands.address()?);
    let bytes = operands.constant()? as usize;
    if !widths.contains(&bytes) {
        let wanted = "a number of bytes that can be copied";
        return Err(Defect::Operand { operand: bytes.to_string(), wanted });
    }
    let source_bytes = if operands.is_empty() { None } else { Some(operands.source()?) };
    Ok(Operation::CopyAsync { destination, source, bytes, source_bytes })
}
