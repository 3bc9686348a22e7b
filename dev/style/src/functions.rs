//! Measures functions in tokens, and finds packed `let` statements in them.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::tree::SourceFile;

/// The functions of one file.
#[derive(Default)]
pub(crate) struct Functions {
    /// Tokens of each function's body, with its line and name.
    pub(crate) tokens: Vec<(usize, usize, String)>,
    /// Lines of `let (a, b) = (x, y)`.
    pub(crate) tuple_lets: Vec<usize>,
    /// Lines of closures that `let` binds and that take more than three lines.
    pub(crate) long_closures: Vec<usize>,
}

impl Functions {
    /// Measures the production code of a file; items under `#[cfg(test)]` are left out.
    pub(crate) fn of(file: &SourceFile) -> Self {
        let mut found = Self::default();
        if let Some(rust) = &file.rust {
            found.visit_file(rust);
        }
        found
    }

    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let line = signature.span().start().line;
        self.tokens.push((
            count(body.to_token_stream()),
            line,
            signature.ident.to_string(),
        ));
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
        self.add(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(&function.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        let line = local.span().start().line;
        if let Some(init) = &local.init {
            match (&local.pat, &*init.expr) {
                (syn::Pat::Tuple(_), syn::Expr::Tuple(_)) => self.tuple_lets.push(line),
                (_, syn::Expr::Closure(closure)) if lines(closure) > 3 => {
                    self.long_closures.push(line);
                }
                _ => {}
            }
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
    attributes.iter().any(|attribute| {
        let text = attribute.to_token_stream().to_string().replace(' ', "");
        text.contains("cfg(test)") || text == "#[test]" || text.contains("cfg(all(test")
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
