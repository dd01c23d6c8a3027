//! Families of metrics: a name, a help text, a type, and a sample for each combination of labels.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::snapshot::{LabelledCount, LatencySnapshot};

/// The labels of a sample: names and values.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// Writes families, one call each.
#[derive(Debug)]
pub(super) struct Families<'a, 'b>(pub(super) &'a mut DescriptorEncoder<'b>);

impl Families<'_, '_> {
    /// A gauge without labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(value)
    }

    /// A counter without labels.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Counter)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// A counter of seconds, without labels.
    pub(super) fn seconds_counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Counter)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// Gauges that differ by their labels.
    pub(super) fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels<'l, N>, impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        samples.into_iter().try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    /// Counters that differ by their labels.
    pub(super) fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l, N>, impl EncodeCounterValue)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        let mut samples = samples.into_iter();
        samples.try_for_each(|(labels, count)| family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None))
    }

    /// Histograms in seconds that differ by their labels.
    pub(super) fn histograms<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l, N>, &'l LatencySnapshot)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        samples.into_iter().try_for_each(|(labels, latency)| {
            let buckets: Vec<_> =
                latency.buckets.iter().map(|bucket| (bucket.max_seconds.unwrap_or(f64::INFINITY), bucket.count)).collect();
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(latency.sum_seconds, latency.count, &buckets, None)
        })
    }

    /// Facts: labels whose value is always 1.
    pub(super) fn infos<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = Labels<'l, N>>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Info)?;
        samples.into_iter().try_for_each(|labels| family.encode_info(&labels))
    }
}

/// Counts under the label `name`.
pub(super) fn labelled(name: &'static str, counts: &[LabelledCount]) -> impl Iterator<Item = ([(&'static str, &'static str); 1], u64)> {
    counts.iter().map(move |counted| ([(name, counted.label)], counted.count))
}
