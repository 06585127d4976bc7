//! Arrays: their elements, and how the column has them.

use anyhow::Result;
use drover_tests::pair::Pair;

use super::errors;

#[tokio::test]
async fn elements_of_an_array_go_through_the_agents_steps_and_are_written_as_the_column_has_them()
-> Result<()> {
    let pair = Pair::new(
        "create table person (id int primary key, tags text[]);
         create table address (id serial primary key, person_id int, mail text, born text);
         insert into person values (1, '{a,b}'), (2, null), (3, '{}');
         insert into address (person_id, mail, born) values (1, ' B@x ', '2001-02-03'), (1, 'a@x', null), (1, 'b@X', '1999-12-31'),
             (2, 'nobody', '2000-01-01'), (3, 'c@x', 'soon')",
        "create table people (id uuid primary key, n int, tags varchar[], mails varchar[], dates date[])",
    )
    .await?;
    pair.must_end(
        "defaults: {max_quarantined: 9}
entities:
- entity: people
  source_entity: person
  destination_entity: people
  entity_type: person
  transformation_rules:
    n: [{col: id}]
    tags: [{col: tags}]
    mails: [{array_agg: {source: address, by: person_id, distinct: true, value: [{col: mail}, email]}}]
    dates: [{array_agg: {source: address, by: person_id, value: [{col: born}, {cast: date, on_error: set_null}]}}]
",
        0,
    )
    .await?;
    let rows = pair
        .rows("select n, tags, mails, dates from people order by n")
        .await?;
    assert_eq!(
        rows,
        [
            r#"{"n":1,"tags":["a","b"],"mails":["b@x","a@x"],"dates":["2001-02-03",null,"1999-12-31"]}"#,
            r#"{"n":3,"tags":[],"mails":["c@x"],"dates":[null]}"#,
        ]
    );
    assert_eq!(
        errors(&pair).await?,
        ["people 2 DROVER_EMAIL_INVALID false"]
    );
    Ok(())
}
