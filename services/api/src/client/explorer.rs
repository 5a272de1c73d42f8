//! The explorer's figures and history.

use freeway_primitives::Address;

use super::{Client, ClientError};
use crate::explorer::{HostEpochRow, NowView, Row, RowsView};

impl Client {
    /// The present in figures.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`] if the node has no explorer. The same holds for all below.
    pub async fn explorer_now(&self) -> Result<NowView, ClientError> {
        self.get("explorer/v1/now", &[]).await
    }

    /// The newest rows of a table of the history, at most `limit`; `filters` as the table takes them.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn explorer_rows<R: Row>(
        &self,
        filters: &[(&str, String)],
        limit: u64,
    ) -> Result<RowsView<R>, ClientError> {
        let query = [filters, &[("limit", limit.to_string())]].concat();
        self.get(&format!("explorer/v1/{}", R::TABLE), &query).await
    }

    /// The latest epochs of a host.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn explorer_host(
        &self,
        host: &Address,
        limit: u64,
    ) -> Result<RowsView<HostEpochRow>, ClientError> {
        self.get(&format!("explorer/v1/hosts/{host}/history"), &[("limit", limit.to_string())]).await
    }
}
