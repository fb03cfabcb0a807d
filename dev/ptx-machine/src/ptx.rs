//! Parsing of a PTX text into kernels, with their parameters, registers and shared memory.

use std::collections::{BTreeMap, HashMap};

use super::decode::decode;
use super::error::{Defect, Error};
use super::instruction::{Instruction, Register};
use super::text::{Content, Piece, is_identifier, pieces, split_at_commas};
use super::types::Type;

/// Declarations of a PTX text.
pub struct Module {
    pub(super) kernels: BTreeMap<String, Kernel>,
    /// Names of source files by number.
    pub(super) files: HashMap<u32, String>,
}

pub struct Kernel {
    pub name: String,
    pub parameters: Vec<Parameter>,
    /// Maximum number of threads per block.
    pub most_threads: u64,
    /// Bytes of static shared memory, which precede the dynamic ones.
    pub static_shared: usize,
    pub(super) instructions: Vec<Instruction>,
    pub(super) registers: usize,
}

/// Location of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub offset: usize,
    pub bytes: usize,
}

/// Names that an instruction may use.
pub struct Names {
    /// Scopes of registers, innermost last.
    scopes: Vec<HashMap<String, Register>>,
    registers: usize,
    /// Offsets of variables in their memory.
    symbols: HashMap<String, u64>,
    /// Indices of instructions by label.
    labels: HashMap<String, usize>,
}

impl Names {
    /// Register that receives results written to `_`.
    pub const SINK: Register = 0;

    pub fn register(&self, name: &str) -> Option<Register> {
        if name == "_" {
            return Some(Self::SINK);
        }
        self.scopes.iter().rev().find_map(|scope| scope.get(name).copied())
    }

    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.get(name).copied()
    }

    pub fn label(&self, name: &str) -> Option<usize> {
        self.labels.get(name).copied()
    }

    /// Declares registers: `.reg .b32 %a, %b<4>`, where the latter means `%b0` to `%b3`.
    fn declare_registers(&mut self, statement: &str) -> Result<(), Defect> {
        let (of, names) = statement[".reg".len()..]
            .trim()
            .split_once(' ')
            .ok_or(Defect::Syntax("expected a type and names of registers"))?;
        // All registers have the same width, so the type is checked and dropped. `f64` may be declared, but no instruction
        // supports it.
        if of != ".f64" && of.strip_prefix('.').and_then(Type::parse).is_none() {
            return Err(Defect::Directive(format!(".reg {of}")));
        }
        for name in split_at_commas(names) {
            let Some((prefix, count)) = name.split_once('<') else {
                self.declare_register(name.to_owned())?;
                continue;
            };
            let count = count.strip_suffix('>').and_then(|count| count.parse::<usize>().ok());
            for index in 0..count.ok_or(Defect::Syntax("expected a number of registers"))? {
                self.declare_register(format!("{prefix}{index}"))?;
            }
        }
        Ok(())
    }

    fn declare_register(&mut self, name: String) -> Result<(), Defect> {
        let scope =
            self.scopes.last_mut().ok_or(Defect::Syntax("a register is outside of any scope"))?;
        if !is_identifier(&name) || scope.contains_key(&name) {
            return Err(Defect::Twice(name));
        }
        scope.insert(name, self.registers);
        self.registers += 1;
        Ok(())
    }

    fn declare_symbol(&mut self, name: &str, offset: usize) -> Result<(), Defect> {
        match self.symbols.insert(name.to_owned(), offset as u64) {
            None => Ok(()),
            Some(_) => Err(Defect::Twice(name.to_owned())),
        }
    }
}

/// Variable or parameter, as declared after its state space.
struct Variable<'a> {
    name: &'a str,
    alignment: usize,
    /// `None` if the array has no size.
    bytes: Option<usize>,
}

impl<'a> Variable<'a> {
    /// Parses `.align 16 .b8 name[64]` and the like, ignoring attributes of a pointer's target.
    fn parse(text: &'a str) -> Result<Self, Defect> {
        let wanted = Defect::Syntax("expected a type and a name");
        let (mut alignment, mut is_pointer, mut of, mut name) = (None, false, None, None);
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                ".ptr" => is_pointer = true,
                ".global" | ".shared" | ".const" | ".local" if is_pointer => (),
                ".align" => {
                    let value = words.next().and_then(|word| word.parse::<usize>().ok());
                    let value = value.filter(|value| value.is_power_of_two());
                    let value = value.ok_or(Defect::Syntax("expected an alignment"))?;
                    alignment = (!is_pointer).then_some(value);
                }
                _ => match word.strip_prefix('.') {
                    Some(word) => of = Some(Type::parse(word).ok_or(wanted.clone())?),
                    None => name = Some(word),
                },
            }
        }
        let (Some(of), Some(name)) = (of, name) else { return Err(wanted) };
        let (name, count) = match name.split_once('[') {
            None => (name, Some(1)),
            Some((name, "]")) => (name, None),
            Some((name, count)) => {
                let count = count.strip_suffix(']').and_then(|count| count.parse::<usize>().ok());
                (name, Some(count.ok_or(wanted)?))
            }
        };
        let bytes = count.map(|count| count * of.bytes());
        Ok(Self { name, alignment: alignment.unwrap_or(of.bytes()), bytes })
    }
}

impl Module {
    /// Parses a text. Anything unknown is an error.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let pieces = pieces(text)?;
        let mut module = Self { kernels: BTreeMap::new(), files: HashMap::new() };
        // Declarations outside of kernels, which may follow the kernels.
        let mut shared = Vec::new();
        let mut depth = 0;
        for piece in &pieces {
            let in_line = |defect| Error::Text { line: piece.line, defect };
            match &piece.content {
                Content::Open => depth += 1,
                Content::Close => depth -= 1,
                Content::Line(line) => module.read_line(line).map_err(in_line)?,
                Content::Statement(statement) if depth == 0 => {
                    let mut words = statement.split_whitespace().peekable();
                    words.next_if(|word| [".extern", ".visible", ".weak"].contains(word));
                    match words.next() {
                        Some(".shared") => shared.push(statement.as_str()),
                        // Unknown; reported where it is used.
                        Some(".global" | ".const") => (),
                        _ => return Err(in_line(Defect::Directive(statement.clone()))),
                    }
                }
                _ => (),
            }
        }
        let mut rest = pieces.as_slice();
        while let Some(start) = rest.iter().position(|piece| is_header(&piece.content)) {
            rest = &rest[start..];
            let len = rest[1..]
                .iter()
                .position(|piece| is_header(&piece.content))
                .map_or(rest.len(), |next| next + 1);
            let kernel = Kernel::parse(&rest[..len], &shared)?;
            let line = rest[0].line;
            rest = &rest[len..];
            if let Some(twice) = module.kernels.insert(kernel.name.clone(), kernel) {
                return Err(Error::Text { line, defect: Defect::Twice(twice.name) });
            }
        }
        Ok(module)
    }

    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernels.get(name)
    }

    fn read_line(&mut self, line: &str) -> Result<(), Defect> {
        if let Some(rest) = line.strip_prefix(".file ") {
            let wanted = Defect::Syntax("expected the number and the name of a file");
            let (number, name) = rest.split_once(' ').ok_or(wanted.clone())?;
            let name = name.split('"').nth(1).ok_or(wanted.clone())?;
            self.files.insert(number.parse().map_err(|_| wanted)?, name.to_owned());
        }
        Ok(())
    }
}

fn is_header(content: &Content) -> bool {
    matches!(content, Content::Header(_))
}

impl Kernel {
    /// Parses a kernel from the pieces starting with its header.
    fn parse(pieces: &[Piece], module_shared: &[&str]) -> Result<Self, Error> {
        let mut names = Names {
            scopes: Vec::new(),
            registers: Names::SINK + 1,
            symbols: HashMap::new(),
            labels: HashMap::new(),
        };
        let mut kernel = Self {
            name: String::new(),
            parameters: Vec::new(),
            most_threads: 1024,
            static_shared: 0,
            instructions: Vec::new(),
            registers: 0,
        };
        // Labels and variables may be used before their declaration.
        let mut instructions = 0;
        for Piece { line, content } in pieces {
            let result = match content {
                Content::Header(header) => kernel.read_header(header, &mut names),
                Content::Label(label) => match names.labels.insert(label.clone(), instructions) {
                    None => Ok(()),
                    Some(_) => Err(Defect::Twice(label.clone())),
                },
                Content::Statement(statement) if statement.starts_with(".shared") => {
                    kernel.declare_shared(statement, &mut names)
                }
                Content::Statement(statement) => {
                    instructions += usize::from(!statement.starts_with('.'));
                    Ok(())
                }
                _ => Ok(()),
            };
            result.map_err(|defect| Error::Text { line: *line, defect })?;
        }
        let in_header = |defect| Error::Text { line: pieces[0].line, defect };
        // Arrays without a size come last, since the launch sets it.
        let (sized, unsized_): (Vec<_>, Vec<_>) =
            module_shared.iter().partition(|statement| !statement.contains("[]"));
        for statement in sized.into_iter().chain(unsized_) {
            kernel.declare_shared(statement, &mut names).map_err(in_header)?;
        }
        kernel.read_instructions(pieces, &mut names)?;
        kernel.registers = names.registers;
        Ok(kernel)
    }

    /// Parses scopes, declarations of registers and instructions.
    fn read_instructions(&mut self, pieces: &[Piece], names: &mut Names) -> Result<(), Error> {
        let mut source = None;
        for Piece { line, content } in pieces {
            let result = match content {
                Content::Open => {
                    names.scopes.push(HashMap::new());
                    Ok(())
                }
                Content::Close => {
                    names.scopes.pop();
                    Ok(())
                }
                Content::Line(text) => {
                    let mut words = text.split_whitespace();
                    if words.next() == Some(".loc") {
                        let mut number = || words.next().and_then(|word| word.parse().ok());
                        source = number().zip(number());
                    }
                    Ok(())
                }
                Content::Statement(text) if text.starts_with('.') => read_directive(text, names),
                Content::Statement(text) => decode(text, names).map(|(guard, operation)| {
                    let text = text.clone();
                    let line = *line;
                    self.instructions.push(Instruction { guard, operation, line, text, source });
                }),
                _ => Ok(()),
            };
            result.map_err(|defect| Error::Text { line: *line, defect })?;
        }
        Ok(())
    }

    /// Parses `.visible .entry name( .param … , … ) .maxntid 128, 1, 1`.
    fn read_header(&mut self, header: &str, names: &mut Names) -> Result<(), Defect> {
        let Some((linkage, rest)) = header.split_once(".entry ") else {
            return Err(Defect::Directive(header.to_owned()));
        };
        if !["", ".visible", ".weak"].contains(&linkage.trim()) {
            return Err(Defect::Directive(linkage.to_owned()));
        }
        let end = rest.find(['(', ' ', '.']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        self.name = name.to_owned();
        let rest = rest.trim();
        let (parameters, directives) = match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(')').ok_or(Defect::Syntax("expected `)`"))?,
            None => ("", rest),
        };
        let mut offset = 0usize;
        for parameter in split_at_commas(parameters) {
            let text = parameter
                .strip_prefix(".param")
                .ok_or_else(|| Defect::Directive(parameter.to_owned()))?;
            let variable = Variable::parse(text)?;
            let bytes = variable.bytes.ok_or(Defect::Syntax("a parameter has no size"))?;
            offset = offset.next_multiple_of(variable.alignment);
            names.declare_symbol(variable.name, offset)?;
            self.parameters.push(Parameter { offset, bytes });
            offset += bytes;
        }
        for directive in directives.split('.').map(str::trim).filter(|text| !text.is_empty()) {
            let (name, values) = directive.split_once(' ').unwrap_or((directive, ""));
            let values = values.split(',').map(|value| value.trim().parse::<u64>());
            match name {
                "maxntid" | "reqntid" => {
                    let values = values.collect::<Result<Vec<_>, _>>();
                    let values = values.map_err(|_| Defect::Directive(directive.to_owned()))?;
                    self.most_threads = values.iter().product();
                }
                "minnctapersm" | "maxnreg" => (),
                _ => return Err(Defect::Directive(format!(".{directive}"))),
            }
        }
        Ok(())
    }

    fn declare_shared(&mut self, statement: &str, names: &mut Names) -> Result<(), Defect> {
        let (_, text) = statement.split_once(".shared").ok_or(Defect::Syntax("`.shared`"))?;
        let variable = Variable::parse(text)?;
        self.static_shared = self.static_shared.next_multiple_of(variable.alignment);
        names.declare_symbol(variable.name, self.static_shared)?;
        self.static_shared += variable.bytes.unwrap_or(0);
        Ok(())
    }
}

fn read_directive(text: &str, names: &mut Names) -> Result<(), Defect> {
    match text.split_whitespace().next() {
        Some(".reg") => names.declare_registers(text),
        // `.shared` has already been parsed. Pragmas only control unrolling.
        Some(".shared" | ".pragma") => Ok(()),
        _ => Err(Defect::Directive(text.to_owned())),
    }
}
