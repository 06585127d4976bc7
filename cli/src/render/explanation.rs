//! A compiled entity for people: the SELECT as it is sent, then what the agent does per column.

use proto::domain::compile::Explanation;

/// The explanation as text.
pub fn text(explanation: &Explanation) -> String {
    let mut out = format!(
        "{}: {} -> {}\n  {}\n",
        explanation.entity, explanation.source, explanation.destination, explanation.id
    );
    if !explanation.dependencies.is_empty() {
        out.push_str(&format!(
            "  waits for {}\n",
            explanation.dependencies.join(", ")
        ));
    }
    let fields: Vec<String> = explanation
        .fields
        .iter()
        .map(|field| format!("  {} AS {}", field.sql, field.name))
        .collect();
    out.push_str(&format!(
        "\nSELECT\n{}\nFROM {} AS src\n",
        fields.join(",\n"),
        explanation.source
    ));
    if let Some(filter) = &explanation.filter {
        out.push_str(&format!("WHERE ({filter})\n"));
    }
    out.push_str(&format!("ORDER BY {}\n", explanation.key.join(", ")));
    out.push_str("\nin the agent:\n");
    for column in &explanation.columns {
        out.push_str(&format!(
            "  {}: {}\n",
            column.column,
            column.steps.join("; ")
        ));
    }
    if !explanation.checks.is_empty() {
        out.push_str("\nchecks of the SELECT:\n");
        for check in &explanation.checks {
            out.push_str(&format!(
                "  {} at {}: {}\n",
                check.code, check.path, check.message
            ));
        }
    }
    out
}
