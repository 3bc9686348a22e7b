//! Measures functions in tokens, and finds packed `let` statements in them.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::offence::Offence;
use crate::tree::SourceFile;

/// Lines of the longest closure that `let` may bind.
const CLOSURE_LINES: usize = 3;

/// A function with a body.
pub(crate) struct Function {
    pub(crate) tokens: usize,
    /// The function's name, with its number of tokens.
    pub(crate) place: Offence,
}

/// The functions of production code, outside items under `#[cfg(test)]`.
#[derive(Default)]
pub(crate) struct Functions {
    path: String,
    pub(crate) all: Vec<Function>,
    /// Places of `let (a, b) = (x, y)`.
    pub(crate) tuple_lets: Vec<Offence>,
    /// Places of long closures that `let` binds.
    pub(crate) long_closures: Vec<Offence>,
}

impl Functions {
    /// Measures the functions of all files.
    pub(crate) fn of(files: &[SourceFile]) -> Self {
        let mut found = Self::default();
        for file in files.iter().filter(|file| file.is_production()) {
            if let Some(rust) = &file.rust {
                found.path.clone_from(&file.path);
                found.visit_file(rust);
            }
        }
        found
    }

    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let tokens = count(body.to_token_stream());
        let words = format!("{tokens} {}", signature.ident);
        let place = self.place(signature.span(), &words);
        self.all.push(Function { tokens, place });
    }

    fn place(&self, span: proc_macro2::Span, words: &str) -> Offence {
        Offence::new(&self.path, span.start().line, words)
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(item) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            self.add(&function.sig, &function.block);
            syn::visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(&function.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        let value = local.init.as_ref().map(|init| &*init.expr);
        match (&local.pat, value) {
            (syn::Pat::Tuple(_), Some(syn::Expr::Tuple(_))) => {
                self.tuple_lets.push(self.place(local.span(), "tuple let"));
            }
            (_, Some(syn::Expr::Closure(closure))) if lines(closure) > CLOSURE_LINES => {
                self.long_closures
                    .push(self.place(local.span(), "long closure"));
            }
            _ => {}
        }
        syn::visit::visit_local(self, local);
    }
}

fn lines(closure: &syn::ExprClosure) -> usize {
    let span = closure.span();
    span.end().line - span.start().line + 1
}

/// Returns true for an item that only tests compile.
pub(crate) fn is_test(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Const(item) => &item.attrs,
        _ => return false,
    };
    is_for_tests(attributes)
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.to_token_stream().to_string().replace(' ', "");
        text == "#[test]" || text.contains("cfg(test)") || text.contains("cfg(all(test")
    })
}

/// Counts tokens as a reader sees them: `->` and `::` are one token, brackets are two.
fn count(stream: TokenStream) -> usize {
    let mut found = 0;
    for tree in stream {
        found += match tree {
            TokenTree::Group(group) => 2 + count(group.stream()),
            TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint => 0,
            TokenTree::Punct(_) | TokenTree::Ident(_) | TokenTree::Literal(_) => 1,
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(text: &str) -> Functions {
        Functions::of(&[SourceFile::fixture("worker/src/a.rs", text)])
    }

    #[test]
    fn brackets_count_two_and_arrows_one() {
        let found = functions("fn f() -> u8 { a::b(1) }\nfn g() {}\n");
        let tokens: Vec<usize> = found.all.iter().map(|function| function.tokens).collect();
        assert_eq!(tokens, [8, 2]);
        assert_eq!(found.all[1].place.words, "2 g");
        assert_eq!(found.all[1].place.line, 2);
    }

    #[test]
    fn tests_are_left_out() {
        let found = functions("#[cfg(test)]\nmod tests { fn f() {} }\n#[test]\nfn g() {}\n");
        assert!(found.all.is_empty());
    }

    #[test]
    fn packed_lets_and_long_closures_are_found() {
        let found = functions(
            "fn f() {\n let (a, b) = (1, 2);\n let (c, d) = g();\n let h = |x| {\n x;\n x\n };\n }",
        );
        let lines = |places: &[Offence]| places.iter().map(|place| place.line).collect::<Vec<_>>();
        assert_eq!(lines(&found.tuple_lets), [2]);
        assert_eq!(lines(&found.long_closures), [4]);
        assert!(
            functions("fn f() { let g = |x| x; }")
                .long_closures
                .is_empty()
        );
    }
}
