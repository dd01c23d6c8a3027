//! What models have cost and saved, for people.

use super::paper::Paper;
use crate::config::Amount;
use crate::spending::{SpendingReport, SpendingRow, SpendingWindow, Sum, client_name};

/// Tables by route, client and model, of today and of this month; nothing where no model has answered.
pub(super) fn write(paper: &mut Paper, report: &SpendingReport) {
    for window in &report.windows {
        paper.gap();
        paper.raw(&title(window, &report.timezone));
        for (head, rows) in [("route", &window.routes), ("client", &window.clients), ("model", &window.models)] {
            table(paper, head, rows);
            paper.gap();
        }
    }
}

/// One table by model, of today and of this month each.
pub(super) fn write_models(paper: &mut Paper, report: &SpendingReport) {
    for window in &report.windows {
        paper.raw(&title(window, &report.timezone));
        table(paper, "model", &window.models);
        paper.gap();
    }
}

fn title(window: &SpendingWindow, timezone: &str) -> String {
    let when = if window.per == "day" { "today" } else { "this month" };
    format!("models {when} (until {}, {timezone})", window.ends_at)
}

fn table(paper: &mut Paper, head: &str, rows: &[SpendingRow]) {
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    paper.table(&[head, "answers", "tokens spent", "price", "from the store", "tokens saved", "price"], &rows);
}

fn row(row: &SpendingRow) -> Vec<String> {
    let client = row.client.as_deref().map(client_name);
    let name = client.or(row.route.as_deref()).or(row.model.as_deref()).unwrap_or_default();
    let cells = |sum: &Sum| [sum.answers.to_string(), sum.tokens().to_string(), price(sum)];
    std::iter::once(name.to_owned()).chain(cells(&row.sums.spent)).chain(cells(&row.sums.saved)).collect()
}

fn price(sum: &Sum) -> String {
    sum.price.map_or_else(|| "–".to_owned(), |price| Amount::Sum(price).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spending::Sums;

    #[test]
    fn each_window_has_a_table_by_route_client_and_model() {
        let sums = Sums { spent: Sum { answers: 2, input: 800, output: 12, price: Some(0.5) }, saved: Sum::of_answer(400, 6, None) };
        let named = |route: Option<&str>, client: Option<&str>, model: Option<&str>| {
            let [route, client, model] = [route, client, model].map(|name| name.map(str::to_owned));
            vec![SpendingRow { route, client, model, sums }]
        };
        let window = SpendingWindow {
            per: "day".to_owned(),
            ends_at: "2026-12-01T00:00:00.000Z".to_owned(),
            routes: named(Some("chat"), None, None),
            clients: named(None, Some("!none"), None),
            models: named(None, None, Some("gpt-4o")),
            ..SpendingWindow::default()
        };
        let mut paper = Paper::plain();
        write(&mut paper, &SpendingReport { timezone: "UTC".to_owned(), windows: vec![window] });
        let text = paper.text();
        assert!(text.contains("models today (until 2026-12-01T00:00:00.000Z, UTC)"), "{text}");
        let row = |name: &str| text.lines().find(|line| line.starts_with(name)).map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(row("chat"), Some(vec!["chat", "2", "812", "0.5", "1", "406", "–"]), "{text}");
        assert!(row("gpt-4o").is_some() && text.contains("(no client)"), "{text}");
    }
}
