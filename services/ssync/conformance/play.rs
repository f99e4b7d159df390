//! Plays vectors against a receiver, and clears away what they have stored.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, bail, ensure};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use ssync_api::{
    status::{code, from_status},
    v1::{
        DeleteUpdate, MissingCheckRequest, Update, UpdateOutcome, UpdatesAccepted, UpdatesRequest,
        UpdatesResponse, replication_service_client::ReplicationServiceClient, update, updates_request,
        updates_response,
    },
};
use ssync_types::{ObjectHash, ObjectPath, Refusal, Timestamp};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

use super::{
    Disk, Place, Vector, World,
    judge::{Came, differences},
    vectors::{Call, Expect, ObjectSpec, Step},
    wire::Contract,
    world::Objects,
};

/// Longest wait for a receiver's next word.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often a session is tried again that the vector before it may still hold, and the time between.
const LOCKED_TRIES_MAX: u32 = 50;
const LOCKED_WAIT: Duration = Duration::from_millis(100);
/// Messages of a session that wait for the receiver.
const MESSAGES_MAX: usize = 16;

/// What became of one vector.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub name: String,
    pub says: String,
    /// Every difference; none where it passed.
    pub differences: Vec<String>,
    pub took: Duration,
}

/// A session that is kept open.
type Kept = (mpsc::Sender<UpdatesRequest>, Streaming<UpdatesResponse>);

/// Plays vectors.
pub(crate) struct Player {
    client: ReplicationServiceClient<Channel>,
    contract: Contract,
    world: World,
    disk: Option<Disk>,
    /// What was stored, and has to be cleared away.
    stored: BTreeMap<ObjectHash, ObjectPath>,
}

impl Player {
    /// Looks whether the receiver takes sessions there, and hashes names as it is told. Changes nothing.
    pub(crate) async fn begin(channel: Channel, place: Place, disk: Option<Disk>) -> anyhow::Result<Self> {
        let client = ReplicationServiceClient::new(channel);
        let contract = Contract::load()?;
        let world = World::new(place.clone(), 0)?;
        let mut player = Self { client, contract, world, disk, stored: BTreeMap::new() };
        let terms = player.terms().await?;
        player.world = World::new(place, terms.inline_bytes_max.into())?;
        Ok(player)
    }

    /// The terms of a session that asks for an object that nobody has: the answer tells how the receiver hashes.
    async fn terms(&mut self) -> anyhow::Result<UpdatesAccepted> {
        let (path, hash) = self.world.object("terms", &ObjectSpec::default())?;
        let objects: Objects = [("terms".to_owned(), (path, hash))].into();
        let post =
            json!({"updateId": "1", "path": "${path:terms}", "post": {"timestamp": {"ticks": "${ticks:1}"}}});
        let offer = json!({"objectHash": "${hash:terms}", "dataTimestamp": {"ticks": "${ticks:1}"}});
        let confirm = json!({"updateId": "2", "confirm": {"offers": [offer]}});
        let messages = self
            .messages(&[json!("${open}"), json!({"update": post}), json!({"update": confirm})], &objects)?;
        let (came, terms) = self.session(messages).await?;
        if let Some(refusal) = came.refusal {
            bail!("the receiver does not open a session on {}: {refusal}", self.world.partition());
        }
        let result = came
            .results
            .first()
            .context("the receiver has not answered a POST to an object that nobody has")?;
        let told = result.get("objectHash").and_then(Value::as_str).unwrap_or_default();
        ensure!(
            told == hash.to_string() && result.pointer("/error/reason").is_none(),
            "the receiver hashes names in another way, or has another ring: it answers {result} for {hash}; take \
             --hash-prefix, --hash-suffix and --part-power from its swift.conf and ring, or give --swift-dir"
        );
        let no_primary = came.results.iter().any(|result| {
            result.get("outcome").and_then(Value::as_str) == Some(UpdateOutcome::NotPrimary.as_str_name())
        });
        ensure!(
            !no_primary,
            "by the receiver's ring {} is no primary of partition {}, so it confirms nothing there; give a --partition of its own",
            self.world.partition().device,
            self.world.partition().partition
        );
        terms.context("the receiver has not accepted the session")
    }

    /// Plays one vector.
    pub(crate) async fn play(&mut self, vector: &Vector) -> Verdict {
        let began = Instant::now();
        let mut found = Vec::new();
        if let Err(error) = self.steps(vector, &mut found).await {
            found.push(format!("{error:#}"));
        }
        Verdict {
            name: vector.name.clone(),
            says: vector.says.clone(),
            differences: found,
            took: began.elapsed(),
        }
    }

    async fn steps(&mut self, vector: &Vector, found: &mut Vec<String>) -> anyhow::Result<()> {
        let objects = self.world.objects(&vector.name, &vector.objects)?;
        let mut kept = Vec::new();
        for (number, step) in vector.steps.iter().enumerate() {
            let expect = self.expected(&step.expect, &objects)?;
            let came = match step.call {
                Call::MissingCheck => self.check(self.messages(&step.send, &objects)?).await?,
                Call::Updates if step.keep => {
                    kept.push(self.keep(step, &objects).await?);
                    continue;
                }
                Call::Updates => {
                    let messages = self.messages(&step.send, &objects)?;
                    // The vector's own sessions hold the partition on purpose.
                    match kept.is_empty() {
                        true => self.session(messages).await?.0,
                        false => self.session_once(messages).await?.0,
                    }
                }
            };
            self.remember(&came, &objects);
            let place = |difference| format!("step {}: {difference}", number + 1);
            found.extend(differences(step.call, &expect, &came).into_iter().map(place));
        }
        for (messages, mut answers) in kept {
            drop(messages);
            let mut came = Came::default();
            self.listen(&mut answers, &mut came, None).await?;
            if let Some(refusal) = came.refusal {
                found.push(format!("a session that was kept open was refused: {refusal}"));
            }
        }
        found.extend(self.look(vector, &objects)?);
        Ok(())
    }

    fn messages<M: prost::Message + Default>(
        &self,
        send: &[Value],
        objects: &Objects,
    ) -> anyhow::Result<Vec<M>> {
        let name = std::any::type_name::<M>().rsplit("::").next().unwrap_or_default();
        let Value::Array(send) = self.world.resolve(&Value::from(send.to_vec()), objects)? else {
            bail!("no list")
        };
        send.iter().map(|message| self.contract.read(name, message)).collect()
    }

    fn expected(&self, expect: &Expect, objects: &Objects) -> anyhow::Result<Expect> {
        let list = |values: &[Value]| match self.world.resolve(&Value::from(values.to_vec()), objects)? {
            Value::Array(values) => Ok(values),
            _ => bail!("no list"),
        };
        let one = |value: &Option<Value>| {
            value.as_ref().map(|value| self.world.resolve(value, objects)).transpose()
        };
        Ok(Expect {
            results: list(&expect.results)?,
            perhaps: list(&expect.perhaps)?,
            wants: list(&expect.wants)?,
            summary: one(&expect.summary)?,
            refusal: one(&expect.refusal)?,
            ..expect.clone()
        })
    }

    fn remember(&mut self, came: &Came, objects: &Objects) {
        let applied = came.results.iter().filter(|result| {
            let outcome = result.get("outcome").and_then(Value::as_str).unwrap_or_default();
            outcome.starts_with("UPDATE_OUTCOME_APPLIED")
        });
        let hashes: Vec<&str> = applied.filter_map(|result| result.get("objectHash")?.as_str()).collect();
        let stored = objects.values().filter(|(_, hash)| hashes.contains(&hash.to_string().as_str()));
        self.stored.extend(stored.map(|(path, hash)| (*hash, path.clone())));
    }

    /// The files of the vector's objects, where they can be seen.
    fn look(&self, vector: &Vector, objects: &Objects) -> anyhow::Result<Vec<String>> {
        let Some(disk) = &self.disk else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (name, (_, hash)) in objects {
            let none = Vec::new();
            let expected = vector.files.get(name).unwrap_or(&none);
            let mut expected = expected
                .iter()
                .map(|file| match self.world.resolve(&Value::from(file.as_str()), objects)? {
                    Value::String(file) => Ok(file),
                    other => bail!("{other} is no file name"),
                })
                .collect::<anyhow::Result<Vec<_>>>()?;
            expected.sort();
            let there = disk.files(self.world.partition(), *hash)?;
            if there != expected {
                found.push(format!("object {name} ({hash}) has the files {there:?}, not {expected:?}"));
            }
        }
        Ok(found)
    }

    async fn check(&self, messages: Vec<MissingCheckRequest>) -> anyhow::Result<Came> {
        let mut came = Came::default();
        let call = soon(self.client.clone().missing_check(stream::iter(messages))).await?;
        let mut answers = match call {
            Ok(answers) => answers.into_inner(),
            Err(status) => return Ok(Came { refusal: Some(told(&status)), ..came }),
        };
        loop {
            match soon(answers.message()).await? {
                Ok(Some(answer)) => {
                    came.answered_offers = answer.answered_offers;
                    for want in &answer.wants {
                        came.wants.push(self.contract.write("ObjectWant", want)?);
                    }
                }
                Ok(None) => return Ok(came),
                Err(status) => return Ok(Came { refusal: Some(told(&status)), ..came }),
            }
        }
    }

    /// A session. Comes back while the one before still holds the partition.
    async fn session(
        &self,
        messages: Vec<UpdatesRequest>,
    ) -> anyhow::Result<(Came, Option<UpdatesAccepted>)> {
        let mut last = self.session_once(messages.clone()).await?;
        for _ in 0..LOCKED_TRIES_MAX {
            let code = last.0.refusal.as_ref().and_then(|refusal| refusal.get("retry"));
            if last.1.is_some() || code != Some(&Value::Bool(true)) {
                break;
            }
            tokio::time::sleep(LOCKED_WAIT).await;
            last = self.session_once(messages.clone()).await?;
        }
        Ok(last)
    }

    /// A session that says the rest once it is accepted, or has ended.
    async fn session_once(
        &self,
        messages: Vec<UpdatesRequest>,
    ) -> anyhow::Result<(Came, Option<UpdatesAccepted>)> {
        let mut came = Came::default();
        let (say, said) = mpsc::channel(MESSAGES_MAX);
        let mut messages = messages.into_iter();
        if let Some(first) = messages.next() {
            say.send(first).await.context("a queue that is just made")?;
        }
        // Who has nothing to say says so at once; a server may wait for the first word before it answers at all.
        let mut say = (messages.len() > 0).then_some(say);
        let call = soon(self.client.clone().updates(ReceiverStream::new(said))).await?;
        let mut answers = match call {
            Ok(answers) => answers.into_inner(),
            Err(status) => return Ok((Came { refusal: Some(told(&status)), ..came }, None)),
        };
        let (accepted, admission) = oneshot::channel();
        let feed = async {
            // Ended without: the half-close follows at once.
            if admission.await.is_ok() {
                for message in messages {
                    let Some(say) = &say else { break };
                    // Why the session has ended is for its answers to say.
                    if say.send(message).await.is_err() {
                        break;
                    }
                }
            }
            say = None;
        };
        let ((), terms) = tokio::join!(feed, self.listen(&mut answers, &mut came, Some(accepted)));
        Ok((came, terms?))
    }

    /// Listens to a session to its end; says when it is accepted.
    async fn listen(
        &self,
        answers: &mut Streaming<UpdatesResponse>,
        came: &mut Came,
        mut tell: Option<oneshot::Sender<()>>,
    ) -> anyhow::Result<Option<UpdatesAccepted>> {
        let mut terms = None;
        loop {
            match soon(answers.next()).await? {
                Some(Ok(answer)) => {
                    if let Some(updates_response::Message::Accepted(accepted)) = &answer.message {
                        terms = Some(accepted.clone());
                        // Nobody waits for it a second time.
                        let _ = tell.take().map(|tell| tell.send(()));
                    }
                    self.note(answer, came)?;
                }
                Some(Err(status)) => {
                    came.refusal = Some(told(&status));
                    return Ok(terms);
                }
                None => return Ok(terms),
            }
        }
    }

    fn note(&self, answer: UpdatesResponse, came: &mut Came) -> anyhow::Result<()> {
        let (value, results) = self.contract.write_answer(answer)?;
        let kind = value.as_object().and_then(|fields| fields.keys().next().cloned());
        if kind.as_deref() == Some("summary") {
            came.summary = value.get("summary").cloned();
        }
        came.kinds
            .push(kind.unwrap_or_else(|| if results.is_empty() { "nothing" } else { "results" }.to_owned()));
        came.results.extend(results);
        Ok(())
    }

    /// Opens a session and leaves it open once it is accepted.
    async fn keep(&self, step: &Step, objects: &Objects) -> anyhow::Result<Kept> {
        for _ in 0..LOCKED_TRIES_MAX {
            let (say, said) = mpsc::channel(MESSAGES_MAX);
            for message in self.messages::<UpdatesRequest>(&step.send, objects)? {
                say.send(message).await.context("the session has ended")?;
            }
            let mut client = self.client.clone();
            let Ok(call) = soon(client.updates(ReceiverStream::new(said))).await? else { continue };
            let mut answers = call.into_inner();
            while let Ok(Some(answer)) = soon(answers.message()).await? {
                if matches!(answer.message, Some(updates_response::Message::Accepted(_))) {
                    return Ok((say, answers));
                }
            }
            tokio::time::sleep(LOCKED_WAIT).await;
        }
        bail!("a session that has to be kept open was not accepted")
    }

    /// Deletes what was stored; gives how many tombstones that leaves.
    pub(crate) async fn clear_away(&mut self) -> anyhow::Result<usize> {
        let now = Timestamp::from_system_time(SystemTime::now());
        let delete = DeleteUpdate { timestamp: Some(now.into()) };
        let mut messages = self.messages::<UpdatesRequest>(&[json!("${open}")], &Objects::new())?;
        for (number, path) in (1..).zip(self.stored.values()) {
            let operation = Some(update::Operation::Delete(delete));
            let update = Update { update_id: number, path: path.to_bytes(), operation };
            messages.push(UpdatesRequest { message: Some(updates_request::Message::Update(update)) });
        }
        let (came, _) = self.session(messages).await?;
        if let Some(refusal) = came.refusal {
            bail!("{} objects of /.ssync-conformance could not be deleted: {refusal}", self.stored.len());
        }
        let applied = UpdateOutcome::Applied.as_str_name();
        let deleted = came.results.iter().filter(|result| {
            result.get("outcome").and_then(Value::as_str).is_some_and(|one| one.starts_with(applied))
        });
        let deleted = deleted.count();
        ensure!(deleted == self.stored.len(), "{deleted} of {} objects were deleted", self.stored.len());
        Ok(deleted)
    }
}

async fn soon<T>(answer: impl Future<Output = T>) -> anyhow::Result<T> {
    timeout(ANSWER_WAIT_MAX, answer)
        .await
        .map_err(|_| anyhow::anyhow!("no answer within {ANSWER_WAIT_MAX:?}"))
}

/// A status as vectors have it.
fn told(status: &Status) -> Value {
    let refusal: Refusal = from_status(status);
    let name = format!("{:?}", status.code());
    let spelled = name.char_indices().fold(String::new(), |mut spelled, (place, letter)| {
        if place > 0 && letter.is_uppercase() {
            spelled.push('_');
        }
        spelled.extend(letter.to_uppercase());
        spelled
    });
    json!({
        "code": spelled, "reason": refusal.reason.name(), "field": refusal.field,
        "retry": refusal.retry_after.is_some(), "message": refusal.message,
        // The code and the reason belong together by the table of docs/protocol.md.
        "of_the_table": code(refusal.reason) == status.code(),
    })
}
