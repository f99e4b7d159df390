//! A store behind gRPC.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ssync_api::{convert, v1};
use ssync_types::{
    ByteRange, Deleted, DeviceSurvey, Invalid, ObjectDelete, ObjectInfo, ObjectPost, ObjectPut, ObjectRef,
    Offer, PartitionRef, PendingUpdate, Posted, ReadOptions, Refusal, Rehash, ReleaseOpen, SessionOpen,
    Suffix, SuffixHashes,
};
use tokio::{sync::mpsc, time::timeout};
use tonic::{Request, Response, Status};

use crate::{Body, CheckAnswers, Release, Session, Store, StoreAddress, StoreResult, Upload, trace};

mod check;
mod faults;
mod guard;
mod incoming;
mod ledger;
mod object;
mod outgoing;
mod pool;
mod release;
mod secure;
mod session;
mod settings;

use faults::Faults;
use pool::{Lease, Place, Places, Pool};
pub use settings::RemoteSettings;

/// Another node's store, or that of the receiver beside a sidecar.
///
/// Connections are made when they are first needed, and made again when they break: it costs nothing to hold one of
/// these for a peer that is down. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RemoteStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    faults: Faults,
    settings: RemoteSettings,
    /// Calls with small answers. Bodies never get in their way.
    control: Pool,
    /// Checks and releases.
    checks: Pool,
    /// Sessions. Each has a connection to itself as long as there are enough.
    sessions: Pool,
    /// Bodies of single objects.
    objects: Places,
}

impl RemoteStore {
    /// The store at `address`. Does not connect yet.
    pub fn new(address: StoreAddress, settings: RemoteSettings) -> Result<Self, Invalid> {
        let small = settings.dialer(&address, settings.stream_window_bytes)?;
        let bodies = settings.dialer(&address, settings.object_window_bytes)?;
        let inner = Inner {
            faults: Faults::new(address),
            control: Pool::new(small.clone(), settings.control_connections_max),
            checks: Pool::new(small.clone(), settings.check_connections_max),
            sessions: Pool::new(small, settings.session_connections_max),
            objects: Places::new(
                Pool::new(bodies, settings.object_connections_max),
                settings.object_streams_max,
            ),
            settings,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where the store is.
    #[must_use]
    pub fn address(&self) -> &StoreAddress {
        self.inner.faults.address()
    }
}

impl Inner {
    /// A connection for a body.
    async fn place(&self) -> StoreResult<Place> {
        let limit = self.settings.object_wait_timeout;
        self.objects.take(limit).await.ok_or_else(|| self.faults.no_place(limit))
    }

    /// A call with one answer.
    async fn unary<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> StoreResult<T> {
        match timeout(limit, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.faults.status(&status)),
            Err(_) => Err(self.faults.no_answer(limit)),
        }
    }
}

/// A request that carries the trace of the span it is made in.
fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    trace::inject(request.metadata_mut());
    request
}

#[async_trait]
impl Store for RemoteStore {
    async fn missing_check(
        &self,
        partition: PartitionRef,
        offers: mpsc::Receiver<Vec<Offer>>,
    ) -> StoreResult<CheckAnswers> {
        check::missing_check(&self.inner, partition, offers).await
    }

    async fn updates(&self, open: SessionOpen) -> StoreResult<Session> {
        session::updates(&self.inner, open).await
    }

    async fn release(&self, open: ReleaseOpen) -> StoreResult<Release> {
        release::release(&self.inner, open).await
    }

    async fn suffix_hashes(&self, partition: PartitionRef, rehash: Rehash) -> StoreResult<SuffixHashes> {
        let inner = &self.inner;
        let message = v1::GetSuffixHashesRequest {
            partition: Some(partition.into()),
            rehash_suffixes: convert::suffixes(rehash.suffixes),
            list_suffixes: rehash.list,
        };
        let lease = inner.control.lease();
        let mut client = lease.replication();
        // Hashing a cold partition reads every directory in it.
        let limit = inner.settings.progress_timeout;
        let response = inner.unary(limit, client.get_suffix_hashes(request(message))).await?;
        convert::suffix_hashes(response).map_err(|invalid| inner.faults.nonsense(&invalid))
    }

    async fn invalidate_suffixes(&self, partition: PartitionRef, suffixes: Vec<Suffix>) -> StoreResult<()> {
        let message = v1::InvalidateSuffixesRequest {
            partition: Some(partition.into()),
            suffixes: convert::suffixes(suffixes),
        };
        let lease = self.inner.control.lease();
        let mut client = lease.replication();
        let call = client.invalidate_suffixes(request(message));
        self.inner.unary(self.inner.settings.unary_timeout, call).await.map(|_| ())
    }

    async fn survey_devices(&self) -> StoreResult<DeviceSurvey> {
        let lease = self.inner.control.lease();
        let mut client = lease.devices();
        self.answer(client.survey_devices(request(v1::SurveyDevicesRequest {}))).await
    }

    async fn put_object(&self, put: ObjectPut) -> StoreResult<Upload> {
        object::put(&self.inner, put).await
    }

    async fn get_object(
        &self,
        object: ObjectRef,
        ranges: Vec<ByteRange>,
        options: ReadOptions,
    ) -> StoreResult<(ObjectInfo, Body)> {
        object::get(&self.inner, object, ranges, options).await
    }

    async fn head_object(&self, object: ObjectRef, options: ReadOptions) -> StoreResult<ObjectInfo> {
        let message = v1::HeadObjectRequest { object: Some(object.into()), options: Some(options.into()) };
        let lease = self.inner.control.lease();
        let mut client = lease.objects();
        self.answer(client.head_object(request(message))).await
    }

    async fn post_object(&self, post: ObjectPost) -> StoreResult<Posted> {
        let lease = self.inner.control.lease();
        let mut client = lease.objects();
        self.answer(client.post_object(request(v1::PostObjectRequest::from(post)))).await
    }

    async fn delete_object(&self, delete: ObjectDelete) -> StoreResult<Deleted> {
        let lease = self.inner.control.lease();
        let mut client = lease.objects();
        self.answer(client.delete_object(request(v1::DeleteObjectRequest::from(delete)))).await
    }

    async fn queue_update(&self, update: PendingUpdate) -> StoreResult<()> {
        let lease = self.inner.control.lease();
        let mut client = lease.objects();
        let call = client.queue_update(request(v1::QueueUpdateRequest::from(update)));
        self.inner.unary(self.inner.settings.unary_timeout, call).await.map(|_| ())
    }
}

impl RemoteStore {
    /// A call with one answer, converted.
    async fn answer<W, T>(&self, call: impl Future<Output = Result<Response<W>, Status>>) -> StoreResult<T>
    where
        T: TryFrom<W, Error = Invalid>,
    {
        let response = self.inner.unary(self.inner.settings.unary_timeout, call).await?;
        T::try_from(response).map_err(|invalid| -> Refusal { self.inner.faults.nonsense(&invalid) })
    }
}
