//! `ssync push`: one partition now, watched.

use std::{
    io::{IsTerminal as _, stderr},
    process::ExitCode,
    time::Duration,
};

use anyhow::bail;
use futures_util::{StreamExt as _, TryStreamExt as _};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use ssync_api::admin::{PushRequest, PushResponse};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    cli::PushArgs,
    commands::running::{Alone, Answers, Running, refused},
    on_demand,
    signals::Interruption,
};

/// Pushes; exits 0 when all that was to be done was done.
pub(crate) async fn run(args: &PushArgs) -> anyhow::Result<ExitCode> {
    let request = PushRequest {
        device: args.device.clone(),
        partition: args.partition,
        policy_index: args.policy,
        to: args.to.clone().unwrap_or_default(),
    };
    if let Some(Running { mut client, address }) = Running::find(&args.running).await? {
        tell(args, &format!("the replicator at {address} pushes"));
        let answers = client.push(request).await.map_err(|status| refused(&status))?.into_inner();
        return watch(args, answers.map_err(|status| refused(&status)).boxed(), None).await;
    }
    tell(args, "no replicator runs here: this command pushes");
    let alone = Alone::start(&args.running).await?;
    let pushed = push_alone(args, &alone, request).await;
    alone.stop().await;
    pushed
}

async fn push_alone(args: &PushArgs, alone: &Alone, request: PushRequest) -> anyhow::Result<ExitCode> {
    let token = alone.node.drain().token();
    let answers = on_demand::push(alone.replicator()?, request, token.child_token()).await?;
    watch(args, ReceiverStream::new(answers).map(Ok).boxed(), Some(alone)).await
}

/// Shows the answers to the last one. A signal ends the push at the next object.
async fn watch(
    args: &PushArgs,
    mut answers: Answers<PushResponse>,
    alone: Option<&Alone>,
) -> anyhow::Result<ExitCode> {
    let mut interruption = Interruption::catch()?;
    let mut view = View::new(args.running.json);
    loop {
        let answer = tokio::select! {
            answer = answers.try_next() => answer?,
            () = interruption.came() => match alone {
                Some(alone) => {
                    alone.node.drain().begin();
                    continue;
                }
                None => bail!("interrupted: the replicator ends the push at the next object"),
            },
        };
        let Some(answer) = answer else { bail!("the replicator ended the push without a word; see its log") };
        view.show(&answer);
        if answer.done {
            view.finish(&answer);
            return Ok(if answer.complete { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
}

fn tell(args: &PushArgs, what: &str) {
    if !args.running.json {
        eprintln!("{what} partition {} of {} (policy {})", args.partition, args.device, args.policy);
    }
}

/// A bar on a terminal, else a line for each change, else JSON.
struct View {
    json: bool,
    bar: Option<ProgressBar>,
    last: Option<PushResponse>,
}

impl View {
    fn new(json: bool) -> Self {
        let bar = (!json && stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(200));
            match ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self { json, bar, last: None }
    }

    fn show(&mut self, answer: &PushResponse) {
        if self.json {
            println!("{}", to_json(answer));
        } else if let Some(bar) = &self.bar {
            bar.set_message(figures(answer));
        } else if !answer.done && self.last.as_ref() != Some(answer) {
            println!("{}", figures(answer));
        }
        self.last = Some(answer.clone());
    }

    fn finish(&self, answer: &PushResponse) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.json {
            return;
        }
        println!(
            "{} in {:.2} s; {} peers were equal",
            figures(answer),
            answer.elapsed_milliseconds as f64 / 1000.0,
            answer.equal_peers
        );
        for problem in &answer.problems {
            println!("* {problem}; the log has the cause");
        }
        if answer.paused {
            println!("The device is paused: passes push nothing from it. This push was asked for.");
        }
        println!("{}", if answer.complete { "Done." } else { "Not all was done." });
    }
}

fn figures(answer: &PushResponse) -> String {
    let mut text = format!("{} objects, {} bytes pushed", answer.objects, answer.bytes);
    if answer.released > 0 {
        text.push_str(&format!(", {} let go here", answer.released));
    }
    text
}

fn to_json(answer: &PushResponse) -> Value {
    let mut told = json!({
        "done": answer.done, "objects": answer.objects, "bytes": answer.bytes, "released": answer.released,
    });
    if let (true, Value::Object(told)) = (answer.done, &mut told) {
        told.insert("paused".to_owned(), answer.paused.into());
        told.insert("complete".to_owned(), answer.complete.into());
        told.insert("problems".to_owned(), answer.problems.clone().into());
        told.insert("equal_peers".to_owned(), answer.equal_peers.into());
        told.insert("put_back".to_owned(), answer.put_back.into());
        told.insert("seconds".to_owned(), (answer.elapsed_milliseconds as f64 / 1000.0).into());
    }
    told
}
