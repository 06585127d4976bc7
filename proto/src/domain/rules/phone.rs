//! The step `phone`: the agent knows the numbering plans.

use super::convert::action_of;
use super::draft::Draft;
use super::scope::Scope;
use super::texts::{as_text, in_agent};
use super::ty::Ty;
use crate::domain::compiled::{AgentOp, AgentStep};
use crate::domain::plan::{Phone, Unfit, suggest};

/// Countries whose numbering plans the agent knows, two letters each.
pub const PHONE_REGIONS: &str = "\
    AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT \
    BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER \
    ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE \
    IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV \
    LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP \
    NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK \
    SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG US UY UZ VA \
    VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Most digits of a number in E.164.
const MAX_DIGITS: usize = 15;

/// `phone`: a step of the agent.
pub(super) fn apply(
    scope: &Scope<'_>,
    draft: Draft,
    (rule, unfit): (&Phone, &Unfit),
    path: &str,
) -> Option<Draft> {
    let region = rule.region.as_ref().map(|region| region.0.clone());
    if let Some(region) = &region {
        let mut known = PHONE_REGIONS.split(' ');
        if !known.any(|one| one == region) {
            let hint = suggest::hint(&region.to_uppercase(), PHONE_REGIONS.split(' '));
            let message = format!("no country \"{region}\"{hint}; two letters like US");
            return scope.problem(&format!("{path}.region"), message);
        }
    }
    if let Unfit::Default(value) = unfit
        && !is_e164(&value.text())
    {
        let message = format!("\"{}\" is not + and digits", value.text());
        return scope.problem(&format!("{path}.on_error"), message);
    }
    let draft = as_text(scope, draft, path)?;
    let step = AgentStep {
        op: AgentOp::Phone { region },
        path: path.to_owned(),
        on_error: action_of(unfit),
    };
    Some(Draft {
        is_deterministic: true,
        ..in_agent(draft, step, Ty::Text(None))
    })
}

/// `+` and digits.
fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}
