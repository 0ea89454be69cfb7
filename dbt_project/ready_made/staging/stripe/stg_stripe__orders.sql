{{ config(enabled='orders' in var('sources').get('stripe', [])) }}

with source as (
    {{ landed('stripe', 'charge') }}
),

invoices as (
    {{ landed('stripe', 'invoice') }}
),

-- The invoice's tax; a charge that pays less than the whole invoice never has more tax than amount.
amounts as (
    select
        source.*,
        least(coalesce(invoices.tax, 0), source.amount) as tax
    from source
    left join invoices on source.invoice_id = invoices.id
    -- Test mode is play money. An authorisation that was not captured, and a failure, sold nothing.
    where coalesce(livemode, true) and status = 'succeeded' and coalesce(captured, true)
),

renamed as (
    select
        id as source_record_id,
        customer_id as contact_record_id,
        created as ordered_at,
        case
            when coalesce(amount_refunded, 0) = 0 then 'paid'
            when amount_refunded >= amount then 'refunded'
            else 'partially_refunded'
        end as status,
        'online' as channel,
        {{ from_minor_units('(amount - tax)', 'currency') }} as gross_amount,
        {{ from_minor_units('tax', 'currency') }} as tax_amount,
        -- Of what was paid back, the share that is not tax.
        {{ from_minor_units('coalesce(round(amount_refunded * (amount - tax) / nullif(amount, 0)), 0)', 'currency') }} as refund_amount,
        upper(currency) as currency,
        _fivetran_synced as loaded_at
    from amounts
)

select * from renamed
