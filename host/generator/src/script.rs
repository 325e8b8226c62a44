//! The shop as SQL: what makes its tables in a real PostgreSQL, and keeps changing them.

use crate::rows;
use crate::shop::{Event, Order, PRODUCTS, Shop, USERS};

/// The event at which orders get a column more, as in the source.
const COUPONS_FROM: u64 = 40;
const SEED: u64 = 1;

/// The shop's events as statements, one after the other.
pub struct Script {
    shop: Shop,
}

// === impl Script ===

impl Script {
    /// Goes on behind so many events, which the database has already.
    pub fn after(events: u64) -> Script {
        let mut shop = Shop::new(SEED, Some(COUPONS_FROM));
        (0..events).for_each(|_| {
            shop.step();
        });
        Script { shop }
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.shop.event
    }

    /// The schema `shop`, its tables, all users and all products.
    pub fn tables() -> String {
        let list = |n: u64, row: &dyn Fn(u64) -> String| (0..n).map(row).collect::<Vec<_>>().join(", ");
        let users = list(USERS, &|n| format!("({}, '{}', '{}')", n + 1, rows::name(n), rows::email(n)));
        let stock = Shop::new(SEED, None).stock(0);
        let products =
            list(PRODUCTS, &|n| format!("({}, '{}', {}, {stock})", n + 1, rows::title(n), decimal(rows::price(n))));
        format!(
            "CREATE SCHEMA shop;
             CREATE TABLE shop.users (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL,
                 created_at timestamptz NOT NULL DEFAULT now());
             CREATE TABLE shop.products (id int PRIMARY KEY, title text NOT NULL, price numeric(10,2) NOT NULL,
                 stock int NOT NULL);
             CREATE TABLE shop.orders (id bigint PRIMARY KEY, user_id int NOT NULL REFERENCES shop.users,
                 product_id int NOT NULL REFERENCES shop.products, quantity int NOT NULL,
                 amount numeric(10,2) NOT NULL, status text NOT NULL, placed_at timestamptz NOT NULL DEFAULT now());
             INSERT INTO shop.users (id, name, email) VALUES {users};
             INSERT INTO shop.products VALUES {products};"
        )
    }

    /// The next event: a change of one row, and before it the column that it needs when there is none yet.
    pub fn next_event(&mut self) -> String {
        let column =
            if self.shop.event == COUPONS_FROM { "ALTER TABLE shop.orders ADD COLUMN coupon text; " } else { "" };
        let has_coupons = self.shop.has_coupons();
        let change = match self.shop.step() {
            Event::Placed(order) => insert(&order, has_coupons),
            Event::Changed { after: o, .. } => format!(
                "UPDATE shop.orders SET status = '{}', quantity = {}, amount = {} WHERE id = {}",
                o.status.name(),
                o.quantity,
                decimal(rows::price(o.product) * o.quantity),
                o.id
            ),
            Event::Deleted(order) => format!("DELETE FROM shop.orders WHERE id = {}", order.id),
            Event::Stock(product, _, stock) => {
                format!("UPDATE shop.products SET stock = {stock} WHERE id = {}", product + 1)
            }
        };
        format!("{column}{change};")
    }
}

fn insert(o: &Order, has_coupons: bool) -> String {
    let (column, coupon) = match (has_coupons, o.coupon) {
        (true, Some(n)) => (", coupon", format!(", '{}'", rows::coupon(n))),
        _ => ("", String::new()),
    };
    let (status, amount) = (o.status.name(), decimal(rows::price(o.product) * o.quantity));
    format!(
        "INSERT INTO shop.orders (id, user_id, product_id, quantity, amount, status{column}) \
         VALUES ({}, {}, {}, {}, {amount}, '{status}'{coupon})",
        o.id,
        o.user + 1,
        o.product + 1,
        o.quantity
    )
}

fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_goes_on_where_another_was() {
        let mut whole = Script::after(0);
        let all: Vec<_> = (0..200).map(|_| whole.next_event()).collect();
        let mut rest = Script::after(70);
        assert_eq!(rest.events(), 70);
        assert!((70..200).all(|i| rest.next_event() == all[i]));
        assert_eq!(all.iter().filter(|s| s.contains("ALTER TABLE")).count(), 1, "the column is added once");
        for word in ["INSERT INTO shop.orders", "UPDATE shop.orders", "DELETE FROM shop.orders", "UPDATE shop.products"]
        {
            assert!(all.iter().any(|s| s.contains(word)), "{word}");
        }
    }
}
