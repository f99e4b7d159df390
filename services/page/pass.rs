//! What the pass has done, and what is worked on now.

use maud::{Markup, html};
use ssync_api::admin::GetReplicatorStatusResponse;

use crate::{
    table::{figure, number},
    units::{bytes, count},
};

/// Jobs that are named; the others are counted.
const JOBS_MAX: usize = 24;

/// Both.
pub(crate) fn section(status: &GetReplicatorStatusResponse) -> Markup {
    let more = status.jobs.len().saturating_sub(JOBS_MAX);
    html! {
        section #work aria-labelledby="work-title" {
            h2 #work-title { @if status.running { "This pass" } @else { "The last pass" } }
            dl.facts {
                div { dt { "Objects stored by other nodes" } dd { (number("objects", status.objects)) } }
                div { dt { "Bytes of them" } dd { (figure("bytes", status.bytes, &bytes(status.bytes))) } }
                div { dt { "Objects of handoffs let go" } dd { (number("released", status.released)) } }
                div { dt { "Failures" } dd { (number("failures", status.failures)) } }
            }
            @if !status.jobs.is_empty() {
                p.note {
                    "At work on " (number("jobs", status.jobs.len() as u64)) " partitions: "
                    @for (place, job) in status.jobs.iter().take(JOBS_MAX).enumerate() {
                        @if place > 0 { ", " }
                        span.job { (job.device) "/" (job.partition) @if job.policy_index > 0 { " (policy " (job.policy_index) ")" } }
                    }
                    @if more > 0 { " and " (count(more as u64)) " more" }
                }
            }
        }
    }
}
