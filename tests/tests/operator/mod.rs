//! The operator's hand: what is commanded is observed before it is said, with a controller and without.

mod cancel;
mod entities;
mod local;
mod pause;
mod retries;
mod settings;

use anyhow::{Result, ensure};
use drover_tests::cluster::Cluster;
use drover_tests::drover::{self, Outcome};
use drover_tests::pair::Pair;

/// Customers, their orders, the items of those: three customers without an e-mail address, one order without a total.
const LEGACY: &str = "
create table customer (id int primary key, email text not null);
create table orders (id int primary key, customer_id int not null references customer, total int);
create table item (id int primary key, order_id int not null references orders, quantity int not null);
insert into customer select n, 'customer-' || n || '@example.com' from generate_series(1, 300) n;
update customer set email = 'nobody' where id in (7, 77, 177);
insert into orders select n, 1 + n % 300, n from generate_series(1, 1200) n;
update orders set total = null where id = 11;
insert into item select n, 1 + n % 1200, n from generate_series(1, 2400) n;
";

const APP: &str = "
create table customers (id uuid primary key, email text not null unique);
create table orders (id uuid primary key, customer_id uuid not null references customers, total int not null);
create table items (id uuid primary key, order_id uuid not null references orders, quantity int not null);
";

const ENTITIES: &str = "
entities:
- {entity: customers, source_entity: customer, destination_entity: customers, entity_type: customer, sensitive: [email],
   transformation_rules: {email: [{col: email}, email]}}
- {entity: orders, source_entity: orders, destination_entity: orders, entity_type: order,
   transformation_rules: {customer_id: [{col: customer_id}, {fk: {entity: customers}}], total: [{col: total}]}}
- {entity: items, source_entity: item, destination_entity: items, entity_type: item,
   transformation_rules: {order_id: [{col: order_id}, {fk: {entity: orders}}], quantity: [{col: quantity}]}}
";

/// A shop, and its plan with these defaults and limits before the entities.
async fn shop(head: &str) -> Result<(Pair, String)> {
    let pair = Pair::new(LEGACY, APP).await?;
    let path = pair.write(&format!("{head}{ENTITIES}"))?;
    Ok((pair, path))
}

/// A cluster at work on a plan.
async fn started(pair: &Pair, path: &str) -> Result<Cluster> {
    let cluster = Cluster::start(&[("eu-1", "eu"), ("eu-2", "eu")], pair.env()).await?;
    cluster.json(&["migration", "create", "-f", path]).await?;
    cluster.json(&["migration", "start", "pair"]).await?;
    Ok(cluster)
}

/// Waits until the migration is in a state.
async fn until(cluster: &Cluster, state: &str) -> Result<()> {
    let wanted = format!("--for=state={state}");
    let wait = [
        "migration",
        "wait",
        "pair",
        &wanted,
        "--wait-timeout",
        "120s",
    ];
    must(cluster.drover(&wait).await?, 0, cluster).map(drop)
}

/// A command that must end with this code.
fn must(outcome: Outcome, code: i32, cluster: &Cluster) -> Result<Outcome> {
    ensure!(
        outcome.code == Some(code),
        "{:?}\n{}\n{}\n{}",
        outcome.code,
        outcome.stdout,
        outcome.stderr,
        cluster.logs()
    );
    Ok(outcome)
}

/// A command on this machine that must end with this code.
async fn here(pair: &Pair, args: &[&str], code: i32) -> Result<Outcome> {
    let args: Vec<&str> = args.iter().copied().chain(["--local"]).collect();
    let outcome = drover::run(&args, &pair.env()).await?;
    ensure!(
        outcome.code == Some(code),
        "{args:?} {:?}\n{}\n{}",
        outcome.code,
        outcome.stdout,
        outcome.stderr
    );
    Ok(outcome)
}

/// Batches at the destination, of one entity or of all.
async fn batches(pair: &Pair, entity: &str) -> Result<i64> {
    let sql = format!(
        "select count(*) from drover.ledger join drover.partition using (partition_id) \
         join drover.entity using (entity_no) where entity like '{entity}'"
    );
    pair.app.number(&sql).await
}

/// Every row of every table, in order.
async fn rows(pair: &Pair) -> Result<Vec<String>> {
    pair.app
        .texts(
            "select 'c ' || t::text from customers t union all select 'o ' || t::text from orders t \
             union all select 'i ' || t::text from items t order by 1",
        )
        .await
}
