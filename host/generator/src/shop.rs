//! What happens in the shop, one event after the other.

/// A xorshift: good enough to look alive, and the same everywhere.
#[derive(Clone, Debug)]
struct Dice(u64);

/// An order as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: u64,
    pub user: u64,
    pub product: u64,
    pub quantity: u64,
    pub status: Status,
    /// the event it was placed at, which gives its time
    pub placed: u64,
    pub coupon: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    New,
    Paid,
    Sent,
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Placed(Order),
    Changed {
        before: Order,
        after: Order,
    },
    Deleted(Order),
    /// a product's stock changed: (product, before, after)
    Stock(u64, u64, u64),
}

/// The state behind the events.
#[derive(Clone, Debug)]
pub struct Shop {
    dice: Dice,
    pub event: u64,
    orders: Vec<Order>,
    next_order: u64,
    stock: Vec<u64>,
    coupons_from: Option<u64>,
}

pub const USERS: u64 = 50;
pub const PRODUCTS: u64 = 20;
/// Orders beyond it are deleted rather than added to.
const MOST_ORDERS: usize = 500;

// === impl Dice ===

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n.max(1)
    }
}

// === impl Status ===

impl Status {
    pub const fn name(self) -> &'static str {
        match self {
            Status::New => "new",
            Status::Paid => "paid",
            Status::Sent => "sent",
            Status::Cancelled => "cancelled",
        }
    }
}

// === impl Shop ===

impl Shop {
    /// `coupons_from`: the event at which orders get a column more.
    pub fn new(seed: u64, coupons_from: Option<u64>) -> Self {
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Shop { dice, event: 0, orders: vec![], next_order: 1001, stock: vec![100; PRODUCTS as usize], coupons_from }
    }

    pub fn has_coupons(&self) -> bool {
        self.coupons_from.is_some_and(|from| self.event >= from)
    }

    pub fn stock(&self, product: u64) -> u64 {
        self.stock.get(product as usize).copied().unwrap_or(0)
    }

    /// The next event.
    pub fn step(&mut self) -> Event {
        let has_coupons = self.has_coupons();
        let at = self.event;
        self.event += 1;
        match self.dice.below(20) {
            0..10 if self.orders.len() < MOST_ORDERS => self.place(at, has_coupons),
            10..17 if !self.orders.is_empty() => self.change(),
            17 | 18 => {
                let product = self.dice.below(PRODUCTS);
                let before = self.stock(product);
                let after = self.dice.below(200);
                self.stock.get_mut(product as usize).into_iter().for_each(|s| *s = after);
                Event::Stock(product, before, after)
            }
            _ if self.orders.len() > 10 => {
                let i = self.dice.below(self.orders.len() as u64) as usize;
                Event::Deleted(self.orders.swap_remove(i))
            }
            _ => self.place(at, has_coupons),
        }
    }

    fn place(&mut self, at: u64, has_coupons: bool) -> Event {
        let order = Order {
            id: self.next_order,
            user: self.dice.below(USERS),
            product: self.dice.below(PRODUCTS),
            quantity: 1 + self.dice.below(5),
            status: Status::New,
            placed: at,
            coupon: (has_coupons && self.dice.below(3) == 0).then_some(at % 10),
        };
        self.next_order += 1;
        self.orders.push(order.clone());
        Event::Placed(order)
    }

    fn change(&mut self) -> Event {
        let i = self.dice.below(self.orders.len() as u64) as usize;
        let cancel = self.dice.below(4) == 0;
        let Some(order) = self.orders.get_mut(i) else { return Event::Stock(0, 0, 0) };
        let before = order.clone();
        order.status = match order.status {
            Status::New | Status::Paid if cancel => Status::Cancelled,
            Status::New => Status::Paid,
            Status::Paid => Status::Sent,
            done => {
                order.quantity = order.quantity % 9 + 1;
                done
            }
        };
        Event::Changed { before, after: order.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_shop() {
        let run = |seed| {
            let mut s = Shop::new(seed, Some(50));
            (0..2000).map(|_| s.step()).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn a_deleted_order_is_gone_and_a_changed_one_was_there() {
        let mut shop = Shop::new(3, None);
        let mut live = std::collections::BTreeMap::new();
        for _ in 0..20_000 {
            match shop.step() {
                Event::Placed(o) => assert!(live.insert(o.id, o).is_none()),
                Event::Changed { before, after } => assert_eq!(live.insert(after.id, after), Some(before)),
                Event::Deleted(o) => assert_eq!(live.remove(&o.id), Some(o)),
                Event::Stock(..) => {}
            }
        }
        assert!(live.len() <= MOST_ORDERS);
    }
}
