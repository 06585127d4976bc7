//! The step `tz`: from local time to a moment, with a verdict on times that came twice or never.
//!
//! Both verdicts need several conversions, so a cheap guard stands before them: more than a day
//! before and after, the same local clock is as far apart as it looks. It fails only around a
//! change of the clock, which few rows are near.

use super::convert::{Fit, convert};
use super::draft::{Draft, DraftFault, INPUT, gives_up};
use super::literal::literal;
use super::scope::Scope;
use super::ty::Ty;
use crate::domain::catalog::{Probe, TableName, quote_literal};
use crate::domain::compiled::{Fault, RowAction};
use crate::domain::plan::{Ambiguous, Tz, Unfit};

/// Longer than any change of a clock: the date line is 24 hours.
const FAR: &str = "'26:00'::interval";

/// What to do with a local time that is no single moment.
enum Verdict {
    /// The row is given up.
    GiveUp(RowAction),
    /// This SQL, over the input, takes its place.
    Instead(String),
    /// PostgreSQL's own choice is right.
    Leave,
}

/// SQL of one conversion, as templates.
struct Clock {
    /// The zone as a literal; none where it is the session's, which is several times cheaper.
    zone: Option<String>,
}

impl Clock {
    /// The moment that PostgreSQL makes of a local time: the later of two, and for one that never
    /// was, as far behind the change as the clock showed.
    fn moment(&self, local: &str) -> String {
        match &self.zone {
            Some(zone) => format!("({local} AT TIME ZONE {zone})"),
            None => format!("({local})::timestamptz"),
        }
    }

    /// What the clock shows at a moment.
    fn local(&self, moment: &str) -> String {
        match &self.zone {
            Some(zone) => format!("({moment} AT TIME ZONE {zone})"),
            None => format!("({moment})::timestamp"),
        }
    }

    /// The local clock is not the same a day before and after: see the module.
    fn near_change(&self) -> String {
        let after = self.moment(&format!("({INPUT} + {FAR})"));
        let before = self.moment(&format!("({INPUT} - {FAR})"));
        format!("{after} <> {before} + '52:00'::interval")
    }

    /// The local time never was: going there and back ends elsewhere.
    fn is_gap(&self) -> String {
        format!("{} <> {INPUT}", self.local(&self.moment(INPUT)))
    }

    /// By how much the clock was ahead, long before this moment, of what it is now.
    fn lead(&self) -> String {
        let long_before = format!("({} - {FAR})", self.moment(INPUT));
        format!("({} - ({INPUT} - {FAR}))", self.local(&long_before))
    }

    /// The earlier moment that showed the same local time, if the clock was put back.
    fn earlier(&self) -> String {
        format!("({} - {})", self.moment(INPUT), self.lead())
    }

    /// The local time came twice.
    fn is_ambiguous(&self) -> String {
        let same = format!("{} = {INPUT}", self.local(&self.earlier()));
        format!("({} > '0'::interval AND {same})", self.lead())
    }
}

/// The probe that makes the source judge the name of a time zone.
pub fn zone_probe(table: &TableName, zone: &str) -> Probe {
    let zone = quote_literal(zone);
    let sql = format!("timestamp '2000-01-01 00:00:00' AT TIME ZONE {zone}");
    Probe::new(table.clone(), sql)
}

/// Applies `tz`.
pub(super) fn apply(scope: &Scope<'_>, draft: Draft, tz: &Tz, path: &str) -> Option<Draft> {
    let zone = match (&tz.from, scope.timezone) {
        (Some(name), _) => name.0.as_str(),
        (None, Some(zone)) => zone,
        (None, None) => {
            return scope.problem(path, "no time zone: give from, or timezone in defaults");
        }
    };
    if let Some(crate::domain::catalog::Probed::Refused(words)) =
        scope.expressions.get(&zone_probe(&scope.table.name, zone))
    {
        return scope.problem(path, format!("the source refuses the time zone: {words}"));
    }
    let draft = naive(scope, draft, path)?;
    // The entity's own zone is the session's while its rows are read.
    let is_session = scope.timezone == Some(zone);
    let clock = Clock {
        zone: (!is_session).then(|| quote_literal(zone)),
    };
    let moment = clock.moment(INPUT);
    if is_without_changes(zone) {
        let sql = draft.fill(&moment);
        return Some(draft.becomes(sql, Ty::Timestamptz(None)));
    }
    let gap = tz.gap.clone().unwrap_or_else(|| scope.on_row_error.clone());
    let sets_null = gap == Unfit::SetNull || tz.ambiguous == Some(Ambiguous::SetNull);
    let gap = verdict(scope, &clock, &gap, &format!("{path}.gap"))?;
    let ambiguous = ambiguous(scope, &clock, tz, &format!("{path}.ambiguous"))?;
    let mut draft = judged(draft, &clock, [gap, ambiguous], path);
    if sets_null {
        draft.nulled = Some(path.to_owned());
    }
    Some(draft)
}

/// The moment with both verdicts.
fn judged(draft: Draft, clock: &Clock, verdicts: [Verdict; 2], path: &str) -> Draft {
    let guard = draft.fill(&clock.near_change());
    let kinds = [
        (
            "DROVER_TZ_GAP",
            "is a local time that never was",
            clock.is_gap(),
        ),
        (
            "DROVER_TZ_AMBIGUOUS",
            "is a local time that came twice",
            clock.is_ambiguous(),
        ),
    ];
    let (mut arms, mut faults) = (String::new(), Vec::new());
    for (verdict, (code, message, condition)) in verdicts.into_iter().zip(kinds) {
        match verdict {
            Verdict::GiveUp(action) => faults.push(DraftFault {
                guard: Some(guard.clone()),
                condition: Some(draft.fill(&condition)),
                fault: Fault {
                    code: code.to_owned(),
                    path: path.to_owned(),
                    message: message.to_owned(),
                    action,
                },
            }),
            Verdict::Instead(sql) => arms.push_str(&format!(" WHEN {condition} THEN {sql}")),
            Verdict::Leave => {}
        }
    }
    let moment = clock.moment(INPUT);
    let template = if arms.is_empty() {
        moment
    } else {
        let near = clock.near_change();
        format!("(CASE WHEN {near} THEN CASE{arms} ELSE {moment} END ELSE {moment} END)")
    };
    let sql = draft.fill(&template);
    let mut draft = draft.becomes(sql, Ty::Timestamptz(None));
    draft.faults.extend(faults);
    draft
}

/// A timestamp without time zone.
fn naive(scope: &Scope<'_>, draft: Draft, path: &str) -> Option<Draft> {
    match &draft.ty {
        Ty::Timestamp(_) => Some(draft),
        Ty::Date | Ty::Null => {
            let fit = Fit {
                unfit: &Unfit::Fail,
                path,
                is_asked: false,
            };
            scope.noted(path, convert(draft, &Ty::Timestamp(None), &fit))
        }
        other => {
            let message = format!("needs a timestamp without time zone, this is {other}");
            scope.problem(path, message)
        }
    }
}

fn verdict(scope: &Scope<'_>, clock: &Clock, unfit: &Unfit, path: &str) -> Option<Verdict> {
    let verdict = match unfit {
        Unfit::Fail => Verdict::GiveUp(RowAction::Fail),
        Unfit::Quarantine => Verdict::GiveUp(RowAction::Quarantine),
        Unfit::SetNull => Verdict::Instead("NULL".to_owned()),
        Unfit::Default(value) => {
            let local = scope.noted(path, literal(value, &Ty::Timestamp(None)))?;
            Verdict::Instead(clock.moment(&local))
        }
    };
    debug_assert!(match &verdict {
        Verdict::GiveUp(action) => gives_up(action),
        Verdict::Instead(_) | Verdict::Leave => true,
    });
    Some(verdict)
}

fn ambiguous(scope: &Scope<'_>, clock: &Clock, tz: &Tz, path: &str) -> Option<Verdict> {
    match &tz.ambiguous {
        None => verdict(scope, clock, scope.on_row_error, path),
        Some(Ambiguous::Earliest) => Some(Verdict::Instead(clock.earlier())),
        Some(Ambiguous::Latest) => Some(Verdict::Leave),
        Some(Ambiguous::Fail) => verdict(scope, clock, &Unfit::Fail, path),
        Some(Ambiguous::Quarantine) => verdict(scope, clock, &Unfit::Quarantine, path),
        Some(Ambiguous::SetNull) => verdict(scope, clock, &Unfit::SetNull, path),
        Some(Ambiguous::Default(value)) => {
            verdict(scope, clock, &Unfit::Default(value.clone()), path)
        }
    }
}

/// Zones whose clock never changes, so that no verdict is needed.
fn is_without_changes(zone: &str) -> bool {
    ["UTC", "Etc/UTC", "GMT", "Etc/GMT"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(zone))
}
