//! `ssync.v1.ObjectService`.

use std::sync::Arc;

use ssync_api::v1::{self, object_service_server::ObjectService};
use ssync_store::{Store, Upload};
use ssync_types::{BodyEvent, CommitMode, ObjectDelete, ObjectPost, ObjectPut, PendingUpdate, Refusal};
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

use crate::{
    authority::Need,
    caller::{is_local, not_local},
};

use super::{
    GrpcSettings,
    batch::{Pieces, Steps},
    malformed, refused,
    requests::Requests,
    responses::responses,
};

/// Single objects over a store.
pub struct ObjectGrpc {
    store: Arc<dyn Store>,
    settings: GrpcSettings,
}

impl std::fmt::Debug for ObjectGrpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectGrpc").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ObjectGrpc {
    pub(super) fn new(store: Arc<dyn Store>, settings: GrpcSettings) -> Self {
        Self { store, settings }
    }

    async fn put(
        &self,
        request: Request<Streaming<v1::PutObjectRequest>>,
    ) -> Result<BoxStream<v1::PutObjectResponse>, Refusal> {
        self.settings.may(&request, Need::Change)?;
        let mut requests = Requests::new(request, &self.settings);
        let put = ObjectPut::try_from(requests.first("`head`").await?)?;
        let has_second_phase = put.commit == CommitMode::SecondPhase;
        let Upload { body, steps } = self.store.put_object(put).await?;
        let convert = |request| BodyEvent::try_from(request).map(Some);
        let is_last = move |event: &BodyEvent| match event {
            BodyEvent::Chunk(_) => false,
            BodyEvent::End(_) => !has_second_phase,
            BodyEvent::Commit => true,
        };
        // All that the store can say of a body that breaks off is that it did; the fault says why.
        let fault = requests.pump(None, body, convert, is_last);
        let accepted = v1::put_object_response::Message::Accepted(v1::PutAccepted {});
        let accepted = v1::PutObjectResponse { message: Some(accepted) };
        Ok(responses::<Steps>(Some(accepted), steps, Some(fault), self.settings.heartbeat_interval))
    }
}

#[tonic::async_trait]
impl ObjectService for ObjectGrpc {
    type PutObjectStream = BoxStream<v1::PutObjectResponse>;
    type GetObjectStream = BoxStream<v1::GetObjectResponse>;

    async fn put_object(
        &self,
        request: Request<Streaming<v1::PutObjectRequest>>,
    ) -> Result<Response<Self::PutObjectStream>, Status> {
        self.put(request).await.map(Response::new).map_err(|refusal| refused(&refusal))
    }

    async fn get_object(
        &self,
        request: Request<v1::GetObjectRequest>,
    ) -> Result<Response<Self::GetObjectStream>, Status> {
        self.settings.may(&request, Need::Read).map_err(|refusal| refused(&refusal))?;
        let (object, ranges, options) = request.into_inner().try_into().map_err(malformed)?;
        let found = self.store.get_object(object, ranges, options).await;
        let (info, body) = found.map_err(|refusal| refused(&refusal))?;
        let head = v1::get_object_response::Message::Head(info.into());
        let head = v1::GetObjectResponse { message: Some(head) };
        Ok(Response::new(responses::<Pieces>(Some(head), body, None, self.settings.heartbeat_interval)))
    }

    async fn head_object(
        &self,
        request: Request<v1::HeadObjectRequest>,
    ) -> Result<Response<v1::HeadObjectResponse>, Status> {
        self.settings.may(&request, Need::Read).map_err(|refusal| refused(&refusal))?;
        let (object, options) = request.into_inner().try_into().map_err(malformed)?;
        let info = self.store.head_object(object, options).await.map_err(|refusal| refused(&refusal))?;
        Ok(Response::new(v1::HeadObjectResponse { head: Some(info.into()) }))
    }

    async fn post_object(
        &self,
        request: Request<v1::PostObjectRequest>,
    ) -> Result<Response<v1::PostObjectResponse>, Status> {
        self.settings.may(&request, Need::Change).map_err(|refusal| refused(&refusal))?;
        let post = ObjectPost::try_from(request.into_inner()).map_err(malformed)?;
        let posted = self.store.post_object(post).await.map_err(|refusal| refused(&refusal))?;
        Ok(Response::new(posted.into()))
    }

    async fn delete_object(
        &self,
        request: Request<v1::DeleteObjectRequest>,
    ) -> Result<Response<v1::DeleteObjectResponse>, Status> {
        self.settings.may(&request, Need::Change).map_err(|refusal| refused(&refusal))?;
        let delete = ObjectDelete::try_from(request.into_inner()).map_err(malformed)?;
        let deleted = self.store.delete_object(delete).await.map_err(|refusal| refused(&refusal))?;
        Ok(Response::new(deleted.into()))
    }

    async fn queue_update(
        &self,
        request: Request<v1::QueueUpdateRequest>,
    ) -> Result<Response<v1::QueueUpdateResponse>, Status> {
        if !is_local(&request, self.settings.is_local) {
            let refusal = not_local(&request, "only this node's own sidecar may queue updates of listings");
            return Err(refused(&refusal));
        }
        self.settings.may(&request, Need::Own).map_err(|refusal| refused(&refusal))?;
        let update = PendingUpdate::try_from(request.into_inner()).map_err(malformed)?;
        self.store.queue_update(update).await.map_err(|refusal| refused(&refusal))?;
        Ok(Response::new(v1::QueueUpdateResponse {}))
    }
}
