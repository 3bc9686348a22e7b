//! The stack machine that builds the objects of a pickle.

use std::borrow::Cow;
use std::collections::HashMap;

use super::input::PickleInput;
use super::scalars::scalar;
use super::{Called, Object, ObjectId, Pickle, PickleError, PickleProblem, PickleRules};

type Done<T = ()> = Result<T, PickleProblem>;

const UNDERFLOW: PickleProblem = PickleProblem::Damaged("an operation finds too few objects");
const HIGHEST_PROTOCOL: u8 = 5;

/// Constructors of bytes and containers that every pickle may call.
const BUILT_IN: [(&str, &str); 8] = [
    ("_codecs", "encode"),
    ("builtins", "bytes"),
    ("__builtin__", "bytes"),
    ("builtins", "bytearray"),
    ("builtins", "set"),
    ("__builtin__", "set"),
    ("builtins", "frozenset"),
    ("__builtin__", "frozenset"),
];

/// The functions by which old protocols make an instance of a class without calling it.
const RECONSTRUCTORS: [(&str, &str); 2] = [
    ("copy_reg", "_reconstructor"),
    ("copyreg", "_reconstructor"),
];

pub(super) fn read<'a>(bytes: &'a [u8], rules: PickleRules) -> Result<Pickle<'a>, PickleError> {
    let mut machine = PickleMachine {
        input: PickleInput::new(bytes),
        rules,
        operations: 0,
        objects: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let at = machine.input.at();
        match machine
            .step()
            .map_err(|problem| PickleError { at, problem })?
        {
            None => {}
            Some(root) => return Ok(machine.finish(root)),
        }
    }
}

struct PickleMachine<'a, 'r> {
    input: PickleInput<'a>,
    rules: PickleRules<'r>,
    operations: usize,
    objects: Vec<Object<'a>>,
    stack: Vec<ObjectId>,
    marks: Vec<usize>,
    memo: HashMap<u32, ObjectId>,
}

impl<'a> PickleMachine<'a, '_> {
    fn finish(self, root: ObjectId) -> Pickle<'a> {
        Pickle {
            objects: self.objects,
            root,
            length: self.input.at(),
        }
    }

    /// Executes one operation. Returns the pickle's object at its end.
    fn step(&mut self) -> Done<Option<ObjectId>> {
        self.count_operation()?;
        let operation = self.input.byte()?;
        if operation == b'.' {
            return self.pop().map(Some);
        }
        if let Some(object) = scalar(operation, &mut self.input)? {
            self.push(object);
            return Ok(None);
        }
        self.structure(operation).map(|()| None)
    }

    /// Every operation adds at most two objects, so this limits them too.
    fn count_operation(&mut self) -> Done {
        self.operations += 1;
        if self.operations > self.rules.most_objects {
            return Err(PickleProblem::TooMany(self.rules.most_objects));
        }
        Ok(())
    }

    fn structure(&mut self, operation: u8) -> Done {
        match operation {
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.discard(),
            b'1' => self.pop_mark().map(drop),
            b'2' => self.top().map(|top| self.stack.push(top)),
            0x80 => self.protocol(),
            0x95 => self.input.length(8).map(drop),
            b'p' | b'q' | b'r' | 0x94 => self.remember(operation),
            b'g' | b'h' | b'j' => self.recall(operation),
            _ => self.container(operation),
        }
    }

    fn container(&mut self, operation: u8) -> Done {
        let object = match operation {
            b']' => Object::List(Vec::new()),
            b')' => Object::Tuple(Vec::new()),
            b'}' => Object::Dict(Vec::new()),
            0x8f => Object::Set(Vec::new()),
            b'l' => Object::List(self.pop_mark()?),
            b't' => Object::Tuple(self.pop_mark()?),
            b'd' => Object::Dict(pairs(&self.pop_mark()?)?),
            0x91 => Object::Set(self.pop_mark()?),
            0x85..=0x87 => Object::Tuple(self.pop_last(usize::from(operation - 0x84))?),
            _ => return self.change(operation),
        };
        self.push(object);
        Ok(())
    }

    /// Puts elements into an object that exists.
    fn change(&mut self, operation: u8) -> Done {
        match operation {
            b'a' => self.pop_last(1).and_then(|elements| self.append(&elements)),
            b'e' | 0x90 => self.pop_mark().and_then(|elements| self.append(&elements)),
            b's' => self.pop_last(2).and_then(|elements| self.insert(&elements)),
            b'u' => self.pop_mark().and_then(|elements| self.insert(&elements)),
            b'b' => self.build(),
            _ => self.construct(operation),
        }
    }

    fn construct(&mut self, operation: u8) -> Done {
        match operation {
            b'c' => self.global_by_lines(),
            0x93 => self.global_from_stack(),
            b'R' => self.reduce(),
            0x81 => self.new_object(),
            0x92 => self.new_object_with_keywords(),
            b'i' => self.instance_by_lines(),
            b'o' => self.instance_from_stack(),
            b'P' => self.persistent_by_line(),
            b'Q' => self.pop().map(|key| self.push(Object::Persistent(key))),
            _ => Err(PickleProblem::Operation(operation)),
        }
    }
}

/// The stack, its marks, and the memo.
impl<'a> PickleMachine<'a, '_> {
    fn push(&mut self, object: Object<'a>) {
        let id = self.add(object);
        self.stack.push(id);
    }

    /// Adds an object that is not on the stack. The limit of operations is far below `u32::MAX`.
    fn add(&mut self, object: Object<'a>) -> ObjectId {
        self.objects.push(object);
        (self.objects.len() - 1) as ObjectId
    }

    fn bottom(&self) -> usize {
        self.marks.last().copied().unwrap_or_default()
    }

    fn pop(&mut self) -> Done<ObjectId> {
        if self.stack.len() <= self.bottom() {
            return Err(UNDERFLOW);
        }
        self.stack.pop().ok_or(UNDERFLOW)
    }

    fn top(&self) -> Done<ObjectId> {
        let above = self.stack.get(self.bottom()..);
        above.and_then(<[_]>::last).copied().ok_or(UNDERFLOW)
    }

    fn pop_last(&mut self, count: usize) -> Done<Vec<ObjectId>> {
        let from = self.stack.len().checked_sub(count);
        let from = from.filter(|&from| from >= self.bottom());
        Ok(self.stack.split_off(from.ok_or(UNDERFLOW)?))
    }

    fn pop_mark(&mut self) -> Done<Vec<ObjectId>> {
        let missing = PickleProblem::Damaged("a mark is missing");
        let from = self.marks.pop().ok_or(missing)?;
        Ok(self.stack.split_off(from))
    }

    /// Removes the object on top, or the mark if none lies above it.
    fn discard(&mut self) -> Done {
        if self.stack.len() == self.bottom() {
            return self.pop_mark().map(drop);
        }
        self.pop().map(drop)
    }

    fn protocol(&mut self) -> Done {
        match self.input.byte()? {
            0..=HIGHEST_PROTOCOL => Ok(()),
            _ => Err(PickleProblem::Damaged("an unknown protocol")),
        }
    }

    fn remember(&mut self, operation: u8) -> Done {
        let place = match operation {
            0x94 => self.memo.len() as u32,
            _ => self.memo_place(operation)?,
        };
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, operation: u8) -> Done {
        let place = self.memo_place(operation)?;
        let unknown = PickleProblem::Damaged("it refers to an object that it does not have");
        let object = self.memo.get(&place).copied().ok_or(unknown)?;
        self.stack.push(object);
        Ok(())
    }

    fn memo_place(&mut self, operation: u8) -> Done<u32> {
        match operation {
            b'q' | b'h' => self.input.byte().map(u32::from),
            b'r' | b'j' => self.input.array().map(u32::from_le_bytes),
            _ => self.memo_place_in_line(),
        }
    }

    fn memo_place_in_line(&mut self) -> Done<u32> {
        let place = self.input.text_line()?.trim().parse();
        place.map_err(|_| PickleProblem::Damaged("a place in the memo is not a number"))
    }

    fn object(&self, id: ObjectId) -> &Object<'a> {
        &self.objects[id as usize]
    }

    fn object_mut(&mut self, id: ObjectId) -> &mut Object<'a> {
        &mut self.objects[id as usize]
    }
}

/// Changes of objects.
impl PickleMachine<'_, '_> {
    fn append(&mut self, elements: &[ObjectId]) -> Done {
        let target = self.top()?;
        match self.object_mut(target) {
            Object::List(list) | Object::Set(list) => list.extend(elements),
            Object::Called(called) => called.elements.extend(elements),
            _ => return Err(PickleProblem::Damaged("it appends to what is not a list")),
        }
        Ok(())
    }

    fn insert(&mut self, elements: &[ObjectId]) -> Done {
        let target = self.top()?;
        let pairs = pairs(elements)?;
        match self.object_mut(target) {
            Object::Dict(dict) => dict.extend(pairs),
            Object::Called(called) => called.entries.extend(pairs),
            _ => return Err(PickleProblem::Damaged("it inserts into what is not a dict")),
        }
        Ok(())
    }

    /// Gives an object its state.
    fn build(&mut self) -> Done {
        let state = self.pop()?;
        let target = self.top()?;
        match self.object_mut(target) {
            Object::Called(called) => called.state = Some(state),
            _ => return Err(PickleProblem::Damaged("state for what is not an instance")),
        }
        Ok(())
    }
}

/// Functions, classes and calls.
impl<'a> PickleMachine<'a, '_> {
    fn global_by_lines(&mut self) -> Done {
        let module = self.input.text_line()?;
        let name = self.input.text_line()?;
        self.push(Object::Global(module, name));
        Ok(())
    }

    fn global_from_stack(&mut self) -> Done {
        let name = self.pop()?;
        let module = self.pop()?;
        let module = self.borrowed_text(module)?;
        let name = self.borrowed_text(name)?;
        self.push(Object::Global(module, name));
        Ok(())
    }

    fn borrowed_text(&self, id: ObjectId) -> Done<&'a str> {
        match self.object(id) {
            Object::Text(Cow::Borrowed(text)) => Ok(text),
            _ => Err(PickleProblem::Damaged("a function's name is not text")),
        }
    }

    fn reduce(&mut self) -> Done {
        let arguments = self.pop()?;
        let constructor = self.pop()?;
        self.check_callable(constructor, arguments)?;
        self.push_call(constructor, arguments)
    }

    fn new_object(&mut self) -> Done {
        let arguments = self.pop()?;
        let class = self.pop()?;
        self.check_class(class)?;
        self.push_call(class, arguments)
    }

    fn new_object_with_keywords(&mut self) -> Done {
        self.pop()?;
        self.new_object()
    }

    fn instance_by_lines(&mut self) -> Done {
        let module = self.input.text_line()?;
        let name = self.input.text_line()?;
        let arguments = self.pop_mark()?;
        let class = self.add(Object::Global(module, name));
        self.push_instance(class, arguments)
    }

    fn instance_from_stack(&mut self) -> Done {
        let mut arguments = self.pop_mark()?;
        if arguments.is_empty() {
            return Err(UNDERFLOW);
        }
        let class = arguments.remove(0);
        self.push_instance(class, arguments)
    }

    fn push_instance(&mut self, class: ObjectId, arguments: Vec<ObjectId>) -> Done {
        self.check_class(class)?;
        let arguments = self.add(Object::Tuple(arguments));
        self.push_call(class, arguments)
    }

    fn push_call(&mut self, constructor: ObjectId, arguments: ObjectId) -> Done {
        if !matches!(self.object(arguments), Object::Tuple(_)) {
            return Err(PickleProblem::Damaged("arguments are not a tuple"));
        }
        self.push(Object::Called(Box::new(Called {
            constructor,
            arguments,
            state: None,
            elements: Vec::new(),
            entries: Vec::new(),
        })));
        Ok(())
    }

    fn persistent_by_line(&mut self) -> Done {
        let key = self.input.text_line()?;
        let key = self.add(Object::Text(key.into()));
        self.push(Object::Persistent(key));
        Ok(())
    }

    /// Refuses a call of a function that the rules do not name. Making an instance of a class
    /// by the functions of old protocols is held to the rule for classes.
    fn check_callable(&self, constructor: ObjectId, arguments: ObjectId) -> Done {
        let function = self.global(constructor)?;
        if RECONSTRUCTORS.contains(&function)
            && let Object::Tuple(arguments) = self.object(arguments)
            && let Some(&class) = arguments.first()
        {
            return self.check_class(class);
        }
        self.check_allowed(function)
    }

    fn check_class(&self, class: ObjectId) -> Done {
        let class = self.global(class)?;
        if self.rules.keeps_instances {
            return Ok(());
        }
        self.check_allowed(class)
    }

    fn check_allowed(&self, (module, name): (&str, &str)) -> Done {
        if BUILT_IN.contains(&(module, name)) || self.rules.callable.contains(&(module, name)) {
            return Ok(());
        }
        Err(PickleProblem::Refused {
            module: module.to_owned(),
            name: name.to_owned(),
        })
    }

    fn global(&self, id: ObjectId) -> Done<(&'a str, &'a str)> {
        match self.object(id) {
            Object::Global(module, name) => Ok((module, name)),
            _ => Err(PickleProblem::Damaged("it calls what is not a function")),
        }
    }
}

/// Keys and values in turn.
fn pairs(elements: &[ObjectId]) -> Done<Vec<(ObjectId, ObjectId)>> {
    if !elements.len().is_multiple_of(2) {
        return Err(PickleProblem::Damaged("a key without a value"));
    }
    Ok(elements
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect())
}
