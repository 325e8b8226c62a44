//! Topics that a per-message function names: a host knows a topic by its layout, so each gets one when it is first named.

use crate::{Constant, Edit, Layout};
use std::cell::RefCell;

/// The layouts of a shape, and those that topics have got.
#[derive(Default)]
pub struct Routes {
    layouts: Vec<Layout>,
    /// (layout, topic): the layout is numbered behind all others, in this order
    named: RefCell<Vec<(u32, String)>>,
}

/// Topics of one shape. A host has a bound of its own.
const MOST: usize = 1000;

// === impl Routes ===

impl Routes {
    pub fn new(layouts: &[Layout]) -> Self {
        Routes { layouts: layouts.to_vec(), named: RefCell::default() }
    }

    /// The number of a layout with another topic; one that is new is handed over too. `None`: there are too many.
    pub fn to(&self, layout: u32, topic: &str, added: &mut Vec<Layout>) -> Option<u32> {
        let mut named = self.named.borrow_mut();
        let at = named.iter().position(|(l, t)| *l == layout && t == topic).unwrap_or(named.len());
        if at == named.len() {
            let mut edits = self.layouts.get(layout as usize).filter(|_| at < MOST)?.clone();
            edits.push(Edit::topic(Constant::text(topic)));
            added.push(edits);
            named.push((layout, topic.into()));
        }
        Some((self.layouts.len() + at) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_gets_a_layout_once() {
        let routes = Routes::new(&[vec![], vec![]]);
        let mut added = vec![];
        let mut to = |layout, topic: &str| routes.to(layout, topic, &mut added);
        assert_eq!((to(0, "a"), to(0, "b"), to(1, "a"), to(0, "a")), (Some(2), Some(3), Some(4), Some(2)));
        assert_eq!(added.len(), 3);
        let last = (0..2000).map(|i| routes.to(0, &format!("t{i}"), &mut vec![])).find(Option::is_none);
        assert_eq!(last, Some(None), "there is a bound");
    }
}
